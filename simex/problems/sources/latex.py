"""Statements in LaTeX as plain text; formulas between dollars stay as they are."""

import re

_RULES: tuple[tuple[str, str], ...] = (
    (r"(?<!\\)%.*", ""),
    (r"\\problemname\{([^{}]*)\}", r"# \1\n"),
    (r"\\(?:sub)*section\*?\{([^{}]*)\}", r"\n## \1\n"),
    (r"\\(?:begin|end)\{figure\}(?:\[[^\]]*\])?", ""),
    (r"\\includegraphics(?:\[[^\]]*\])?\{[^{}]*\}", "[image]"),
    (r"\\illustration\{[^{}]*\}\{[^{}]*\}\{[^{}]*\}", "[image]"),
    (r"\\(?:begin|end)\{(?:itemize|enumerate|center|quote|description)\}", ""),
    (r"\\item\b[ \t]*", "- "),
    (r"\\(?:emph|textbf|textit|texttt|textsc|text|underline)\{([^{}]*)\}", r"\1"),
    (r"\\href\{[^{}]*\}\{([^{}]*)\}", r"\1"),
    (r"\\(?:label|caption|vspace|hspace|noindent|medskip|bigskip)(?:\{[^{}]*\})?", ""),
    (r"``|''", '"'),
    (r"~", " "),
    (r"---?", "-"),
    (r"\\([%&_#{}])", r"\1"),
    (r"\\\\(?![a-zA-Z])", "\n"),
    (r"[ \t]+\n", "\n"),
    (r"\n{3,}", "\n\n"),
)
_FORMULA = re.compile(r"(\$\$.*?\$\$|\$[^$]*\$)", re.DOTALL)


def text_of_latex(text: str) -> str:
    """Plain text of a statement; macros that nobody knows remain.

    Example: ``\\problemname{Sum} Print $a_1 + b$\\emph{ twice}.`` becomes ``# Sum``, a
    new line and ``Print $a_1 + b$ twice.``
    """
    formulas: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        formulas.append(match.group(0))
        return f"\x00{len(formulas) - 1}\x00"

    text = _FORMULA.sub(put_aside, text)
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text)
    # Formulas inside macros of macros come back in one pass: they hold no others.
    text = re.sub(r"\x00(\d+)\x00", lambda m: formulas[int(m.group(1))], text)
    return text.strip() + "\n"
