"""Texts on which an exported tokenizer must give the ids of the original."""

import random
from collections.abc import Iterator

_TEXTS = (
    "",
    " ",
    "def f(n):\n    return [i * i for i in range(n)]\n\nprint(f(int(input())))\n",
    "if x:\n\tif y:\n\t\tpass\n\r\n  else:\n            z = 1\n \n",
    "    leading, trailing    ",
    "1234567890 -17 3.14159 1e-9 0xff",
    "a = 'it''s' + \"\\n\\t\\\\\" # caf\u00e9 na\u00efve \u00df\u1e9e",
    "\u65e5\u672c\u8a9e \u0440\u0443\u0441\u0441\u043a\u0438\u0439 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 e\u0301 \u200b\ufeff\u00a0\u3000",
    "\u2581space mark\u2581 \u2581\n\u2581\u2581\u2581\u2581x",
    "\x00\x01\x7f\x80\x9f",
    # What looks like a control piece or a byte piece is text.
    "<|end|>",
    "say <|user|> then <|assistant|><|end|>",
    "<pad><unk><s></s><0x41><0x0A>",
    "<|end|",
    "[PYTHON]x = 1[/PYTHON] <think>y</think> <output>1\n2</output>",
)


def make_corpus(num_random: int = 200, *, seed: int = 0) -> Iterator[str]:
    """Fixed hard cases, then random texts: bytes, characters of all planes, spaces."""
    yield from _TEXTS
    rng = random.Random(seed)
    for i in range(num_random):
        length = rng.randint(1, 80)
        match i % 3:
            case 0:
                yield rng.randbytes(length).decode("latin-1")
            case 1:
                yield "".join(_character(rng) for _ in range(length))
            case _:
                yield "".join(rng.choices(" \n\tab1_.(", k=length))


def _character(rng: random.Random) -> str:
    code = rng.choice(
        (rng.randrange(0x80), rng.randrange(0x3000), rng.randrange(0x110000))
    )
    # Halves of surrogate pairs are no characters, and no UTF-8 holds them.
    return "x" if 0xD800 <= code < 0xE000 else chr(code)
