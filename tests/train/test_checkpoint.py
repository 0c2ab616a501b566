"""Checkpoints come back exactly, and a torn one does not stop a run."""

import functools
import pathlib
import shutil
import signal

import grain
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.models.config import ModelConfig
from simex.sharding.mesh import MeshConfig, make_mesh
from simex.train import checkpoint, orbax_settings
from simex.train.checkpoint import Checkpoints
from simex.train.optimizer import OptimizerConfig, make_optimizer
from simex.train.saved_params import load_params, save_params
from simex.train.state import TrainState, abstract_train_state, make_train_state

CONFIG = ModelConfig(
    vocab_size=16,
    d_model=8,
    num_layers=1,
    num_query_heads=2,
    num_kv_heads=1,
    head_dim=4,
    d_ff=16,
)
TX = make_optimizer(OptimizerConfig(name="adamw"))


@functools.cache
def _state(seed: int = 0) -> TrainState:
    mesh = make_mesh(MeshConfig(fsdp=2))
    return make_train_state(CONFIG, TX, mesh, key=jax.random.key(seed))


def _abstract() -> TrainState:
    return abstract_train_state(CONFIG, TX, make_mesh(MeshConfig(fsdp=2)))


def _numbers():
    return iter(grain.MapDataset.range(100).shuffle(seed=1).to_iter_dataset())


def _assert_same(a, b) -> None:
    leaves_a, leaves_b = jax.tree.leaves(a), jax.tree.leaves(b)
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(leaves_a, leaves_b):
        assert x.sharding == y.sharding
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


@pytest.mark.parametrize("on_host", [True, False])
def test_arrays_may_be_given_away_as_soon_as_a_save_has_begun(
    tmp_path, monkeypatch, on_host
) -> None:
    """As the next update does with them; keys are of one device, params of two."""
    if not on_host:  # then there must not be a second state on the devices
        monkeypatch.setattr(checkpoint, "_are_devices_the_host", lambda: False)
        monkeypatch.setattr(checkpoint, "copy_arrays", None)
    state, key = jax.tree.map(jnp.copy, (_state(), jax.random.key(5)))
    expected, words = _state(), jax.random.key_data(key).tolist()
    checkpoints = Checkpoints(tmp_path)
    checkpoints.begin_save(3, {"state": state, "keys": {"rollouts": key}})
    for leaf in (*jax.tree.leaves(state), key):
        leaf.delete()
    abstract = jax.eval_shape(lambda: jax.random.key(5))
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    keys = {"rollouts": jax.ShapeDtypeStruct((), abstract.dtype, sharding=sharding)}
    found = checkpoints.restore({"state": _abstract(), "keys": keys})
    assert found is not None
    _assert_same(found.items["state"], expected)
    assert jax.random.key_data(found.items["keys"]["rollouts"]).tolist() == words


def test_a_checkpoint_brings_back_state_key_iterator_and_extra(tmp_path) -> None:
    state, numbers = _state(), _numbers()
    for _ in range(7):
        next(numbers)
    keys = {"rollouts": jax.random.key(5)}
    extra = {"seed": 2**40, "note": "naïve", "scores": [1.5, None]}
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(3, {"state": state, "data": numbers, "keys": keys, "extra": extra})
    following = [next(numbers) for _ in range(3)]

    fresh = _numbers()
    abstract_keys = {
        "rollouts": jax.ShapeDtypeStruct(
            (), keys["rollouts"].dtype, sharding=keys["rollouts"].sharding
        )
    }
    found = Checkpoints(tmp_path).restore(
        {"state": _abstract(), "data": fresh, "keys": abstract_keys, "extra": None}
    )
    assert found is not None and found.step == 3
    _assert_same(found.items["state"], state)
    assert found.items["extra"] == extra
    assert [next(fresh) for _ in range(3)] == following
    np.testing.assert_array_equal(
        jax.random.key_data(found.items["keys"]["rollouts"]),
        jax.random.key_data(keys["rollouts"]),
    )


def test_an_empty_directory_restores_nothing(tmp_path) -> None:
    assert Checkpoints(tmp_path).restore({"state": _abstract()}) is None


def test_a_torn_checkpoint_falls_back_to_the_one_before(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, {"state": _state(step)})
    for data in (tmp_path / "2").rglob("d/*"):
        data.write_bytes(data.read_bytes()[:10])
    with pytest.warns(UserWarning, match="step 2 .* cannot be read"):
        found = Checkpoints(tmp_path).restore({"state": _abstract()})
    assert found is not None and found.step == 1
    _assert_same(found.items["state"], _state(1))


def test_a_signal_while_a_step_is_read_is_no_damage(tmp_path, monkeypatch) -> None:
    """Orbax's loop is closed under it, and says so: an older step would be taken."""
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, {"extra": {"step": step}})
    checkpoints.wait()
    load = checkpoints._checkpointer.load_checkpointables

    def interrupted(*arguments):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("Event loop is closed") from None
        return load(*arguments)

    monkeypatch.setattr(checkpoints._checkpointer, "load_checkpointables", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.restore({"extra": None})
    checkpoints.close()


def test_one_changed_byte_of_the_same_length_is_damage(tmp_path) -> None:
    Checkpoints(tmp_path).save(1, {"state": _state()})
    data = max((tmp_path / "1").rglob("d/*"), key=lambda path: path.stat().st_size)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    with pytest.warns(UserWarning), pytest.raises(UserError, match="is damaged"):
        Checkpoints(tmp_path).restore({"state": _abstract()})


def test_params_of_an_older_step_are_never_taken_for_the_newest(tmp_path) -> None:
    mesh = make_mesh(MeshConfig(fsdp=2))
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, {"state": _state(step)})
    for data in (tmp_path / "2").rglob("d/*"):
        data.write_bytes(data.read_bytes()[:10])
    with pytest.raises(UserError, match=r"step 2 in .* cannot be read: .*Remove"):
        load_params(tmp_path, CONFIG, mesh=mesh)
    shutil.rmtree(tmp_path / "2")
    _assert_same(load_params(tmp_path, CONFIG, mesh=mesh), _state(1).params)


def test_a_lost_item_falls_back_to_the_one_before(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, {"state": _state(step), "extra": {"step": step}})
    shutil.rmtree(tmp_path / "2" / "extra")
    with pytest.warns(UserWarning, match="step 2"):
        found = Checkpoints(tmp_path).restore({"state": _abstract(), "extra": None})
    assert found is not None and found.items["extra"] == {"step": 1}


def test_a_changed_model_is_refused_by_name(tmp_path) -> None:
    Checkpoints(tmp_path).save(1, {"state": _state()})
    wider = ModelConfig(**{**vars(CONFIG), "d_ff": 32})
    abstract = abstract_train_state(wider, TX, make_mesh(MeshConfig(fsdp=2)))
    # d_model 8 by d_ff 16 was written, and 8 by 32 is asked for.
    expected = r"has shape \(16, 8\) on disk, and \(32, 8\) is asked for"
    with pytest.warns(UserWarning), pytest.raises(UserError, match=expected):
        Checkpoints(tmp_path).restore({"state": abstract})


def test_the_last_and_the_best_steps_are_kept(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep_last=1, best_metric="score", keep_best=1)
    for step, score in ((1, 0.2), (2, 0.9), (3, 0.5)):
        checkpoints.save(step, {"extra": {}}, metrics={"score": score})
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == [2, 3]
    assert checkpoints.best() == (2, 0.9)
    assert checkpoints.latest_step() == 3


def test_params_load_alone_onto_another_mesh(tmp_path) -> None:
    state = _state()
    Checkpoints(tmp_path).save(4, {"state": state})
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    params = load_params(tmp_path, CONFIG, mesh=mesh)
    kernel = params["layer_0"]["feed_forward"]["up"]["kernel"]
    assert kernel.sharding.spec == jax.sharding.PartitionSpec("fsdp", "tensor")
    np.testing.assert_array_equal(
        np.asarray(kernel),
        np.asarray(state.params["layer_0"]["feed_forward"]["up"]["kernel"]),
    )


def test_params_with_parts_above_the_limit_of_memory_are_saved_too(
    tmp_path, monkeypatch
) -> None:
    # The embedding, 16 x 8 float32, is 256 bytes on each of two devices.
    monkeypatch.setattr(orbax_settings, "_BYTES_ON_THEIR_WAY", 10)
    mesh = make_mesh(MeshConfig(fsdp=2))
    save_params(tmp_path, _state().params)
    _assert_same(load_params(tmp_path, CONFIG, mesh=mesh), _state().params)


def test_a_missing_directory_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        load_params(tmp_path / "nowhere", CONFIG, mesh=make_mesh())
