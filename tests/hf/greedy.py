"""Greedy continuations of our sampler beside those of transformers."""

from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from simex.sampling.samples import SampleRequest

NUM_NEW_TOKENS = 64


def assert_same_greedy(model, config, params, prompts, *, mesh) -> None:
    """`model` is a torch model of the same params; prompts are lists of ids."""
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
        assert sample.ids.tolist() == wanted[0, len(ids) :].tolist()
