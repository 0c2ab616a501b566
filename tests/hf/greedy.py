"""Greedy continuations of our sampler beside those of transformers."""

from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from simex.sampling.samples import SampleRequest

NUM_NEW_TOKENS = 64


def assert_same_greedy(model, config, params, prompts, *, mesh) -> None:
    """`model` is a torch model of the same params; prompts are lists of ids.

    Where ids differ, the message says by how much torch preferred its own there.
    """
    import torch

    longest = max(map(len, prompts))
    sampler = Sampler(
        config,
        mesh,
        num_slots=len(prompts),
        max_prompt_len=longest,
        max_total_len=longest + NUM_NEW_TOKENS,
        stop_ids=(),
        chunk_steps=16,
        prefill_rows=1,
    )
    requests = [
        SampleRequest(prompt_ids=ids, max_new_tokens=NUM_NEW_TOKENS, seed_path=(0,))
        for ids in prompts
    ]
    samples = sampler.sample(params, requests, SamplingMethod(temperature=0.0))
    for ids, sample in zip(prompts, samples, strict=True):
        wanted = model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=NUM_NEW_TOKENS,
            do_sample=False,
            eos_token_id=None,
        )
        ours, theirs = sample.ids.tolist(), wanted[0, len(ids) :].tolist()
        assert ours == theirs, _first_difference(model, ids, ours, theirs)


def _first_difference(model, prompt, ours, theirs) -> str:
    import torch

    at = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt + theirs[:at]])).logits[0, -1]
    margin = float(logits[theirs[at]] - logits[ours[at]])
    return (
        f"after {len(prompt)} + {at} tokens: {ours[at]} here, {theirs[at]} in torch, "
        f"whose logits differ by {margin:.3g}"
    )
