"""Host memory that `simex import-hf` needs, as a multiple of the model's size.

`python -m tests.benchmarks.import_memory [--devices 1] [--dtype bfloat16] [--model DIR]`

A random model of the shape of Qwen2.5-0.5B is written by transformers (in a process of
its own, needs torch), then imported by another fresh process. Counted is the peak of the
resident set, pages of mapped files included, over what the process takes before: Python,
jax and a first compiled program. Linux only: the peak is reset by /proc/self/clear_refs.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

TARGET = 1.2
QWEN25_05B = {
    "vocab_size": 151_936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32_768,
    "rope_theta": 1_000_000.0,
    "tie_word_embeddings": True,
}
_TOKENIZER = (
    pathlib.Path(__file__).parents[3] / "shared/data/models/smollm2_tokenizer.json"
)


def main() -> None:
    """Prints the ratio; ends with 1 if it is above the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--model", type=pathlib.Path, help="a folder to keep it in")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="simex-import-memory-") as name:
        folder = arguments.model or pathlib.Path(name) / "model"
        if not (folder / "config.json").is_file():
            _in_fresh_process("_write_model", str(folder), arguments.dtype)
        out = pathlib.Path(name) / "imported"
        found = json.loads(
            _in_fresh_process(
                "_measure_import", str(folder), str(out), arguments.devices
            )
        )
    size, before, peak = found["size"], found["before"], found["peak"]
    ratio = (peak - before) / size
    print(
        f"tensors {size / 2**20:.0f} MiB, before {before / 2**20:.0f} MiB, "
        f"peak {peak / 2**20:.0f} MiB, {found['secs']:.0f} s, {arguments.devices} "
        f"devices: {ratio:.2f} times the size (wanted: at most {TARGET})"
    )
    sys.exit(ratio > TARGET)


def _in_fresh_process(function: str, *arguments: str | int) -> str:
    code = (
        f"from tests.benchmarks import import_memory as m; m.{function}(*{arguments!r})"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def _write_model(folder: str, dtype: str) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.Qwen2Config(**QWEN25_05B)
    with torch.device("cpu"):
        model = transformers.Qwen2ForCausalLM(config).to(getattr(torch, dtype))
    model.save_pretrained(folder)
    shutil.copy(_TOKENIZER, pathlib.Path(folder) / "tokenizer.json")


def _measure_import(folder: str, out: str, num_devices: int) -> None:
    import time

    from simex.sharding.cpu import configure_cpu_devices

    configure_cpu_devices(num_devices)
    import jax

    from simex.hf.import_model import import_hf
    from simex.hf.tensor_files import find_tensors

    jax.jit(lambda x: x + 1)(1.0).block_until_ready()
    source = pathlib.Path(folder)
    size = sum(tensor.num_bytes for tensor in find_tensors(source).values())
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before, start = _status("VmRSS"), time.monotonic()
    import_hf(source, pathlib.Path(out))
    found = {
        "size": size,
        "before": before,
        "peak": _status("VmHWM"),
        "secs": time.monotonic() - start,
    }
    print(json.dumps(found))


def _status(name: str) -> int:
    """Bytes of one line of /proc/self/status."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise LookupError(name)


if __name__ == "__main__":
    main()
