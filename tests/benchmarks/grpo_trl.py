"""TRL's GRPOTrainer as a contestant, torch on the CPU."""

import pathlib
import threading
import time
from typing import Any

from tests.benchmarks.grpo_task import (
    BETAS,
    CLIP_NORM,
    END_IDS,
    LEARNING_RATE,
    Ids,
    Size,
    begins_even,
)
from tests.benchmarks.rollouts import GROUP, NUM_CORES
from tests.benchmarks.turns import Round


def make_trl(folder: str, size: Size, batch: int, warm_up: int) -> Round:
    """TRL's GRPOTrainer, whose own loop runs in a thread and waits between steps."""
    import torch
    import transformers

    go, done = threading.Semaphore(0), threading.Semaphore(0)
    lengths: list[int] = []

    class Pace(transformers.TrainerCallback):
        """Lets the trainer make one step at a time."""

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            go.acquire()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            done.release()

    def reward(completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
        lengths[:] = map(len, completion_ids)
        return [begins_even(ids) for ids in completion_ids]

    trainer = _make_trl_trainer(folder, size, batch, reward, Pace())

    def train() -> None:
        torch.set_num_threads(NUM_CORES)  # each thread has a number of its own
        trainer.train()

    training = threading.Thread(target=train, daemon=True)
    training.start()

    def step() -> dict[str, float]:
        begin = time.perf_counter()
        go.release()
        while not done.acquire(timeout=1.0):
            if not training.is_alive():
                raise RuntimeError("TRL's loop has ended; its thread printed why.")
        secs = time.perf_counter() - begin
        return {"secs": secs, "mean_len": sum(lengths) / len(lengths)}

    for _ in range(warm_up):
        step()
    return lambda number: step()


def _make_trl_trainer(
    folder: str, size: Size, batch: int, reward: Any, pace: Any
) -> Any:
    import datasets
    import tokenizers
    import transformers
    import trl

    from tests.benchmarks.decoder import load_torch

    model = load_torch(pathlib.Path(folder), num_threads=NUM_CORES)
    model.generation_config.eos_token_id = list(END_IDS)
    # Special tokens have names of their own: "0" would be found inside of "1024", too.
    names = {Ids.pad_id: "<pad>", Ids.end_id: "<end>"}
    words = tokenizers.models.WordLevel(
        {names.get(i, str(i)): i for i in range(Ids.vocab_size)}, names[Ids.pad_id]
    )
    tokenizer = tokenizers.Tokenizer(words)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return trl.GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=trl.GRPOConfig(
            output_dir=f"{folder}/trl-{batch}",
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=size.num_rollouts // batch,
            num_generations=GROUP,
            max_completion_length=size.max_new,
            learning_rate=LEARNING_RATE,
            adam_beta1=BETAS[0],
            adam_beta2=BETAS[1],
            max_grad_norm=CLIP_NORM,
            lr_scheduler_type="constant",
            loss_type="grpo",
            max_steps=10**6,
            bf16=False,
            use_cpu=True,
            activation_checkpointing=False,
            report_to=[],
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=datasets.Dataset.from_list(
            [{"prompt": text} for text in size.make_texts()]
        ),
        processing_class=transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            pad_token=names[Ids.pad_id],
            eos_token=names[Ids.end_id],
            padding_side="left",
        ),
        callbacks=[pace],
    )
