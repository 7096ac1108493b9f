"""Weights in shards: written as transformers does, read without copies, refused by name where they are damaged."""

from __future__ import annotations

import json
import shutil

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from tiny import parts  # noqa: F401  a fixture
from transformers import AutoModelForCausalLM

from affectgpt.model_folder import check_auto_map, check_model_folder
from affectgpt.models.modeling import AffectGPTForConditionalGeneration as Model
from affectgpt.models.shards import bytes_of, plan_shards, read_tensors, write_tensors
from affectgpt.models.weight_files import INDEX_NAME

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(True), "c": torch.zeros(0, 4),
           "d": torch.arange(5, dtype=torch.bfloat16), "e": torch.arange(3, dtype=torch.int8), "f": torch.tensor(2.5)}
FORMS = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in TENSORS.items()}


@pytest.mark.parametrize("size, files", [("50GB", 1), (40, 2), (1, 5)])
def test_tensors_come_back_bit_for_bit(tmp_path, size, files):
    (tmp_path / "model-00001-of-00009.safetensors").write_bytes(b"of an earlier model")
    written = write_tensors(tmp_path, FORMS, TENSORS.__getitem__, size)
    assert len(written) == files and sorted(tmp_path.glob("model*.safetensors")) == written
    assert not list(tmp_path.glob(".*"))
    found, plain = read_tensors(tmp_path), {}
    for path in written:
        plain |= load_file(path)  # as any other program reads them
    assert not [name for name, tensor in found.items() if tensor.data_ptr() % tensor.element_size()]  # all aligned
    for state in (found, plain):
        assert state.keys() == TENSORS.keys()
        assert all(torch.equal(state[name], tensor) and state[name].dtype == tensor.dtype
                   for name, tensor in TENSORS.items())
    if files > 1:
        index = json.loads((tmp_path / INDEX_NAME).read_text())
        assert index["metadata"]["total_size"] == sum(t.numel() * t.element_size() for t in TENSORS.values())
    write_tensors(tmp_path, FORMS, TENSORS.__getitem__)  # a single file takes the place of all of them
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_sizes_of_shards():
    assert (bytes_of("5GB"), bytes_of("1.5kb"), bytes_of(7)) == (5 * 10**9, 1500, 7)
    for wrong in ("5 apples", "", 0, "-1GB"):
        with pytest.raises(ValueError, match="not a size of shards"):
            bytes_of(wrong)
    forms = {name: ((count,), torch.float32) for name, count in zip("abcd", (2, 2, 9, 1), strict=True)}
    assert plan_shards(forms, 16) == [["a", "b"], ["c"], ["d"]]


def test_a_failed_write_leaves_what_was_there(tmp_path):
    write_tensors(tmp_path, FORMS, TENSORS.__getitem__, 40)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for broken in (lambda name: TENSORS[name] if name != "e" else 1 / 0, lambda name: TENSORS["f"]):
        with pytest.raises((ZeroDivisionError, ValueError)):
            write_tensors(tmp_path, FORMS, broken, 1)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.fixture(scope="module")
def sharded(parts, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("sharded") / "m"
    model, processor = tiny.model_and_processor(parts, llm="llama")  # whose head is its embeddings
    model.config.llm = model.config.audio_encoder = model.config.visual_encoder = None
    model.save_pretrained(folder, max_shard_size="200KB")
    processor.save_pretrained(folder)
    return folder, model


def test_a_sharded_folder_is_the_model_itself(sharded):
    folder, model = sharded
    names = json.loads((folder / INDEX_NAME).read_text())["weight_map"]
    assert len(set(names.values())) > 2
    assert not [name for name in names if "lm_head" in name]  # tied: written once
    again = Model.from_pretrained(check_model_folder(folder))
    assert not [name for name, value in again.state_dict().items() if value.is_meta]
    own, found = model.state_dict(), again.state_dict()
    assert own.keys() == found.keys() and all(torch.equal(found[name], own[name]) for name in own)
    llm = again.language_model
    assert llm.lm_head.weight is llm.get_input_embeddings().weight
    theirs = model.language_model.get_decoder().rotary_emb.inv_freq
    assert torch.equal(llm.get_decoder().rotary_emb.inv_freq, theirs)  # a table that no file holds


def test_the_model_goes_to_one_device(sharded):
    folder, _ = sharded
    for device in ("cpu", "auto", {"": "cpu"}):
        assert Model.from_pretrained(folder, device_map=device).device.type in ("cpu", "cuda")
    for wrong in ("balanced", {"a": 0, "b": 1}):
        with pytest.raises(ValueError, match="the model lies on one device"):
            Model.from_pretrained(folder, device_map=wrong)


def test_weights_are_mapped_and_not_copied(sharded, monkeypatch):
    folder, _ = sharded
    places = []
    monkeypatch.setattr("affectgpt.models.folders.read_tensors",
                        lambda path: places.append(read_tensors(path)) or dict(places[0]))
    again = Model.from_pretrained(folder)
    kept = {name: value.data_ptr() for name, value in places[0].items()}
    moved = [name for name, value in again.state_dict().items() if name in kept and value.data_ptr() != kept[name]]
    assert not moved and len(kept) > 50


def test_transformers_reads_the_shards_of_an_llm(parts, tmp_path):  # noqa: F811
    llm = tiny.language_model("llama")
    state = {name: value for name, value in llm.state_dict().items() if name != "lm_head.weight"}
    llm.config.save_pretrained(tmp_path)
    write_tensors(tmp_path, {name: (tuple(value.shape), value.dtype) for name, value in state.items()},
                  state.__getitem__, "60KB")
    again = AutoModelForCausalLM.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(again[name], value) for name, value in llm.state_dict().items())


def index_of(folder, change) -> None:
    index = json.loads((folder / INDEX_NAME).read_text())
    change(index["weight_map"])
    (folder / INDEX_NAME).write_text(json.dumps(index))


def rewrite(folder, change) -> None:
    path = folder / "model-00001-of-00003.safetensors"
    state = load_file(path)
    change(state)
    save_file(state, path)


def point(to):
    return lambda folder: index_of(folder, lambda places: places.update({next(iter(places)): to}))


def pickled(folder):
    for path in folder.glob("model*"):
        path.unlink()
    torch.save({}, folder / "pytorch_model.bin")


def torn(folder):
    path = folder / "model-00002-of-00003.safetensors"
    path.write_bytes(path.read_bytes()[:-5])


@pytest.mark.parametrize("spoil, message", [
    (lambda folder: (folder / "model-00002-of-00003.safetensors").unlink(), "model-00002-of-00003.*shard is missing"),
    (torn, "model-00002-of-00003.safetensors cannot be read"),
    (lambda folder: rewrite(folder, lambda state: state.pop(next(iter(state)))), "model-00001-of-00003.* 1 tensors are "
     "missing"),
    (lambda folder: rewrite(folder, lambda state: state.update(odd=torch.zeros(1))), "model-00001.* 1 are unknown"),
    (lambda folder: rewrite(folder, lambda state: state.update({next(iter(state)): torch.zeros(1, 1)})),
     "1 have another size"),
    (point("../m/model-00001-of-00003.safetensors"), "names '../m/model.*not a file of its own folder"),
    (point("/etc/passwd"), "names '/etc/passwd', which is not a file of its own folder"),
    (point("pytorch_model.bin"), "names 'pytorch_model.bin', which is not a safetensors file"),
    (lambda folder: (folder / INDEX_NAME).write_text("[]"), "no index of shards"),
    (pickled, "pytorch_model.bin, a pickle"),
])
def test_damaged_shards_are_refused_by_name(sharded, tmp_path, spoil, message):
    folder = tmp_path / "m"
    shutil.copytree(sharded[0], folder)
    state = read_tensors(folder)
    forms = {name: (tuple(value.shape), value.dtype) for name, value in state.items()}
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    write_tensors(folder, forms, state.__getitem__, int(size / 2.5))
    assert len(list(folder.glob("model-*"))) == 3
    Model.from_pretrained(check_model_folder(folder))
    spoil(folder)
    with pytest.raises(ValueError, match=message) as error:
        Model.from_pretrained(check_model_folder(folder))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("reference, message", [
    ("other/repository--modeling.Model", "points out of the folder"), ("../evil.Model", "points out of the folder"),
    ("evil/code.Model", "points out of the folder"), ("code", "points out of the folder"), (7, "points out"),
    ("absent.Model", "absent.py is not there"), (["linked.Model", None], "linked.py is a link out of the folder"),
])
@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_of_elsewhere_is_refused(sharded, tmp_path, reference, message, file):
    folder = tmp_path / "m"
    shutil.copytree(sharded[0], folder)
    (tmp_path / "code.py").write_text("")
    (folder / "linked.py").symlink_to(tmp_path / "code.py")
    (folder / "good.py").write_text("")
    values = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(values | {"auto_map": {"AutoModel": "good.Model"}}))
    check_auto_map(folder)
    (folder / file).write_text(json.dumps(values | {"auto_map": {"AutoModel": reference}}))
    with pytest.raises(ValueError, match=message) as error:
        check_model_folder(folder)
    assert f"{folder / file}: auto_map of AutoModel is " in str(error.value)
