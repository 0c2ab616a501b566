"""README.md of an export: what the model is, how to use it, how it was made."""

import re

from simex.hf.families import Family
from simex.models.config import ModelConfig

_CARD = """\
---
library_name: transformers
pipeline_tag: text-generation
{license}tags:
- code
- program-execution
---

# {title}

{about}

A `{architecture}` with {num_params:,} parameters: {num_layers} layers of width
{d_model}, {num_query_heads} query heads of {head_dim} on {num_kv_heads} key-value heads,
context {max_positions} tokens, vocabulary {vocab_size}.

{origin}

## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
inputs = tokenizer.apply_chat_template(
    [{{"role": "user", "content": prompt}}],
    add_generation_prompt=True,
    return_dict=True,
    return_tensors="pt",
)
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=128)[0]))
```

A conversation is {turn}. These pieces
are never parsed from text in training. Encode untrusted text (programs, what they
print) with `split_special_tokens=True`, or they would be.

## How it was made

The operative configuration of the run:

{fence}
{operative_config}
{fence}
"""


_FROM_NOTHING = """\
It was trained with simex to explain what Python programs do, to predict what they
print, and to write and repair programs with the help of its own predictions. It has
seen nothing else, and is no general assistant."""

_FROM_ANOTHER = """\
It began as a model that others trained: whatever that one saw, this one has seen too,
and the licence of that one holds for it. What simex trained on top stands below. Its chat
template is that of simex, which knows user and assistant only; whatever template the
other one had (for a system prompt, for tools) was replaced."""


def render_model_card(
    config: ModelConfig,
    family: Family,
    *,
    title: str,
    about: str,
    operative_config: str,
    is_from_nothing: bool,
    turn: str = "`<|user|>` prompt `<|assistant|>` completion `<|end|>`",
) -> str:
    """The card as Markdown.

    Args:
        config: the model's shape.
        family: the class under which it is exported.
        title: of the card, such as the experiment's name.
        about: a paragraph on the run; may be empty.
        operative_config: every gin binding that the run read.
        is_from_nothing: simex trained it from random params; else it was imported.
        turn: the control pieces of a turn, as Markdown.
    """
    longest = max((len(run) for run in re.findall("`+", operative_config)), default=0)
    return _CARD.format(
        title=title,
        about=about.strip(),
        license="license: apache-2.0\n" if is_from_nothing else "",
        origin=_FROM_NOTHING if is_from_nothing else _FROM_ANOTHER,
        architecture=family.architecture,
        num_params=config.num_params,
        num_layers=config.num_layers,
        d_model=config.d_model,
        num_query_heads=config.num_query_heads,
        num_kv_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        max_positions=config.max_positions,
        vocab_size=config.vocab_size,
        turn=turn,
        operative_config=operative_config.strip(),
        fence="`" * max(3, longest + 1),
    )
