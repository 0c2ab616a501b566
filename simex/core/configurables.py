"""What an experiment file may name: jobs and constructors that were registered.

Registration is explicit: ``@gin.configurable`` above a job,
``gin.external_configurable(ModelConfig)`` for a constructor.
"""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping

import gin

from simex.core.errors import UserError
from simex.core.names import unknown_name

# The runner gives these to a job; an experiment file cannot set them.
GIVEN = frozenset({"workdir", "stage_dir"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Configurable:
    """A registered function or class.

    `function` is what was registered, without gin's wrapper: its arguments come from
    `resolve`, and an exception leaves it unchanged.
    """

    name: str  # the shortest name that nothing else has
    function: Callable[..., object]

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """What a file may set, by name."""
        found = inspect.signature(self.function).parameters
        named = (
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            inspect.Parameter.KEYWORD_ONLY,
        )
        return {n: p for n, p in found.items() if p.kind in named and n not in GIVEN}

    @property
    def hints(self) -> Mapping[str, object]:
        """The annotation of each annotated parameter, strings resolved."""
        is_class = inspect.isclass(self.function)
        owner = self.function.__init__ if is_class else self.function
        return typing.get_type_hints(owner)


def find_configurable(name: str, *, where: str) -> Configurable:
    """Looks `name` up; any unambiguous ending such as "train_sft.train_sft" will do.

    Raises:
      UserError: nothing, or more than one thing, has that name.
    """
    registry = _registry()
    selectors = [s for s in registry.matching_selectors(name) if not _is_gins_own(s)]
    if not selectors:
        raise unknown_name("configurable", name, known_configurables(), where=where)
    if len(selectors) > 1:
        raise UserError(
            f"{where}: {name!r} could be each of {', '.join(sorted(selectors))}; "
            "write enough of the name to tell them apart."
        )
    found = registry[selectors[0]]
    shortest = registry.minimal_selector(selectors[0])
    return Configurable(name=shortest, function=found.wrapped)


def known_configurables() -> list[str]:
    """The shortest name of everything that is registered."""
    registry = _registry()
    return sorted(
        registry.minimal_selector(selector)
        for selector, _ in registry.items()
        if not _is_gins_own(selector)
    )


def _is_gins_own(selector: str) -> bool:
    return selector.startswith("gin.")  # gin.macro, gin.constant, gin.singleton


def _registry() -> gin.selector_map.SelectorMap:
    # gin has no public way to list what was registered; the release is from 2021.
    return gin.config._REGISTRY
