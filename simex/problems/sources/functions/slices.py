"""The part of a module that one function needs, as a program text."""

import ast
import dataclasses

from simex.problems.sources.functions.module_code import ModuleCode
from simex.problems.sources.functions.purity import (
    PURE_BUILTINS,
    impurity,
    partial_modules,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slice:
    """The text that a name needs, or the reason why there is none."""

    source: str | None = None
    reason: str = ""


class Slicer:
    """Cuts slices out of one module; what it finds out about a statement it keeps."""

    def __init__(self, module: ModuleCode):
        self.module = module
        self._partial = partial_modules(module.statements)
        self._names: dict[int, frozenset[str]] = {}
        self._reasons: dict[int, str | None] = {}

    def cut(self, name: str, *, max_chars: int) -> Slice:
        """The statements that `name` needs, transitively, in the module's order.

        Args:
            name: A top-level name of the module.
            max_chars: A longer text is refused.
        """
        needed: set[int] = set()
        waiting, seen = [name], {name}
        while waiting:
            wanted = waiting.pop()
            indices = self.module.providers.get(wanted)
            if indices is None:
                if wanted in PURE_BUILTINS:
                    continue
                return Slice(reason="needs an unknown or impure name")
            for index in sorted(set(indices) - needed):
                reason = self._reason(index)
                if reason is not None:
                    return Slice(reason=reason)
                needed.add(index)
                names = self._names[index]
                waiting += sorted(names - seen)
                seen |= names
        parts = [self.module.statements[index] for index in sorted(needed)]
        source = "\n".join(ast.unparse(part) for part in parts)
        if len(source) > max_chars:
            return Slice(reason="is too long")
        return Slice(source=source)

    def _reason(self, index: int) -> str | None:
        if index not in self._reasons:
            names = self.module.names_read(index)
            self._names[index] = names
            statement = self.module.statements[index]
            self._reasons[index] = impurity(statement, names, self._partial)
        return self._reasons[index]
