"""Where policy, tasks and judge meet: turns, rollouts and groups."""
