"""The tags around explanations, programs and answers: render and parse.

`LAYOUT_SYMBOLS` are single pieces of the tokenizers that simex trains. They are plain
text, not control tokens: a program that holds one is read as written.
"""

THINK, END_THINK = "<think>", "</think>"
OUTPUT, END_OUTPUT = "<output>", "</output>"
PYTHON, END_PYTHON = "[PYTHON]\n", "\n[/PYTHON]"
THOUGHT, END_THOUGHT = "[THOUGHT]", "[/THOUGHT]"
ANSWER, END_ANSWER = "[ANSWER]", "[/ANSWER]"
CODE, END_CODE = "```python\n", "\n```"
SUBMIT = "#SUBMIT"
EXAMPLES = "\nExample Tests\n"
INPUT = "## Input\n"
EXPECTED = "## Expected Output\n"
ATTEMPT = "## Attempt\n"
ATTEMPT_OUTPUT = "## Output for the attempt\n"

LAYOUT_SYMBOLS = (
    THINK,
    END_THINK,
    OUTPUT,
    END_OUTPUT,
    PYTHON,
    END_PYTHON,
    THOUGHT,
    END_THOUGHT,
    ANSWER,
    END_ANSWER,
    CODE,
    END_CODE,
    SUBMIT,
    EXAMPLES,
    INPUT,
    EXPECTED,
    ATTEMPT,
    ATTEMPT_OUTPUT,
    "----- Test ",
    " -----\n",
    "\n    ",
    "\n        ",
    "\n            ",
    "\n                ",
    "\n",
)
