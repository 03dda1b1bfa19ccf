#!/usr/bin/env python3
"""Carries Wave Field weights between PyTorch state dicts and Wavefield's model folders.

    python3 examples/pytorch.py to-wavefield CHECKPOINT.pt CONFIG.json OUT_DIR
    python3 examples/pytorch.py to-pytorch MODEL_DIR OUT.pt

CONFIG.json says what tensors cannot: at most field_size, max_seq_len, kernel_norm and
interference_interval; {} asks. docs/interchange.md has the details. Needs PyTorch 1.13 or newer.
"""

import argparse
import contextlib
import ctypes
import json
import os
import pickle
import re
import sys

import torch

from pytorch_model import DEFAULTS, WaveField, places, position_encoding

KEYS = ("version", "vocab_size", "embedding_dim", "num_layers", "num_heads", "ffn_dim",
        "field_size", "max_seq_len", "interference_interval", "dropout", "kernel_norm",
        "feature_map_depth", "cross_dim", "spectral_gate", "residual_scale",
        "allow_leaky_geometry", "tokenizer")


class Refusal(Exception):
    """What cannot be converted, and why."""


# ---- safetensors: 8 bytes of header length, a JSON header, the tensors' bytes ----

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
          "F64": torch.float64, "I64": torch.int64, "I32": torch.int32, "I16": torch.int16,
          "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool}


def read_safetensors(path):
    """The tensors of a file by name; tensors of unusual types are left out."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    try:
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        header.pop("__metadata__", None)
        tensors = {}
        for name, entry in header.items():
            dtype, (begin, end) = DTYPES.get(entry["dtype"]), entry["data_offsets"]
            if dtype is None:
                continue
            count = (end - begin) // torch.empty((), dtype=dtype).element_size()
            values = torch.empty(0, dtype=dtype)
            if count:
                values = torch.frombuffer(data, dtype=dtype, count=count, offset=start + begin)
            tensors[name] = values.reshape(entry["shape"])
        return tensors
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise Refusal(f"{path}: not a safetensors file, or a damaged one: {error}") from error


def write_safetensors(path, tensors):
    names = {dtype: name for name, dtype in DTYPES.items()}
    header, end = {"__metadata__": {"format": "pt"}}, 0
    tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as part, open(part, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size()))


def read_json(path):
    """The object of a JSON file."""
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except ValueError as error:
        raise Refusal(f"{path}: {error}") from error
    if not isinstance(value, dict):
        raise Refusal(f"{path}: expected a JSON object")
    return value


@contextlib.contextmanager
def replacing(path):
    """A name to write to; what stands there replaces `path` at the end, whole or not at all."""
    part = path + ".part"
    try:
        yield part
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)


# ---- names ----

# Parts of names that tell a model which neither version computes.
FOREIGN = {
    ".write_gate_proj.": "Wave Field before V4.7",
    "_feature_map.linear.": "the feature map of Wave Field V4.3",
    ".local_blend": "the local window of Wave Field before V4.7",
    "._window_mask": "the local window of Wave Field before V4.7",
    ".kerr_gamma": "the split-step propagation of Wave Field before V4.7",
    ".basis_": "the kernel mixture of Wave Field before V4.7",
    ".kernel_mix_": "the kernel mixture of Wave Field before V4.7",
    ".head_positions": "the 3D interference of Wave Field before V4.7",
    ".token_pos_proj.": "the 3D interference of Wave Field before V4.7",
    ".attention.q_proj.": "Wave Field before V3.5",
    ".causal_kernel_fft": "Wave Field before V3.5",
    "global_context_modules.": "Wave Field before V3.5",
    "._frozen_damping_": "heads with frozen damping",
    ".component_weights": "kernels of several components",
    ".delta_correction.": "delta correction",
    "_branch_scale": "attention heads mixed with wave heads",
    ".self_attn.": "a layer of softmax attention",
    ".q_proj.": "a layer of gated linear attention",
    "._monarch.": "the Monarch FFT",
}


def plain_name(name):
    """Without what torch.compile and DataParallel put into names."""
    name = name.replace("._orig_mod", "").replace("_orig_mod.", "")
    return re.sub(r"^(module\.)+", "", name)


def is_buffer(name):
    """Buffers hold nothing learned."""
    return name.endswith(("positional_encoding.pe_cache", ".field_stride")) or "._cached_" in name


def load_checkpoint(path):
    """The state dict of a file, with plain names."""
    if path.endswith(".safetensors"):
        holder = read_safetensors(path)
    else:
        try:
            holder = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, TypeError) as error:
            raise Refusal(
                f"{path}: PyTorch cannot load it as tensors and plain values, and nothing else is "
                "loaded, because a pickle can run code; where you trust it, load it in PyTorch "
                f"1.13 or newer and save its state_dict() alone: {error}") from error
    keys = ("model", "model_state_dict", "state_dict", "model_state", "module")
    while isinstance(holder, dict) and any(isinstance(holder.get(key), dict) for key in keys):
        holder = next(holder[key] for key in keys if isinstance(holder.get(key), dict))
    if not isinstance(holder, dict) or not any(map(torch.is_tensor, holder.values())):
        found = ", ".join(map(str, holder)) if isinstance(holder, dict) else type(holder).__name__
        raise Refusal(f"{path}: no state dict, neither at the top nor under {', '.join(keys)}; "
                      f"found {found}")
    state = {}
    for name, tensor in holder.items():
        plain = plain_name(name)
        if not torch.is_tensor(tensor) or plain in state:
            raise Refusal(f"{path}: {name} is not a tensor, or stands there twice")
        state[plain] = tensor
    return state


# ---- the configuration ----

def refuse_foreign(state):
    for name in state:
        for part, what in FOREIGN.items():
            if part in name:
                raise Refusal(f"tensor {name}: it belongs to {what}, which neither version \"3.5\" "
                              "nor version \"4\" computes")


def size(state, name, axis):
    if name not in state:
        raise Refusal(f"tensor {name} is missing: this is no Wave Field model from V3.5 on")
    if not axis < state[name].dim() <= 2:
        raise Refusal(f"tensor {name}: unexpected shape {list(state[name].shape)}")
    return state[name].shape[axis]


def derive(state):
    """The keys that names, shapes and buffers decide; the number of interference modules, and the
    intervals that give it."""
    attention = "layers.0.attention."
    version = "4" if attention + "qkvg_proj.weight" in state else "3.5"
    numbers = [re.match(r"layers\.(\d+)\.", name) for name in state]
    layers = 1 + max((int(match[1]) for match in numbers if match), default=0)
    modules = [re.match(r"interference_modules\.(\d+)\.", name) for name in state]
    modules = len({match[1] for match in modules if match})
    found = {
        "version": version,
        "vocab_size": size(state, "token_embedding.weight", 0),
        "embedding_dim": size(state, "token_embedding.weight", 1),
        "num_layers": layers,
        "num_heads": size(state, attention + "wave_frequency", 0),
        "ffn_dim": size(state, "layers.0.ffn.0.weight", 0),
    }
    intervals = [every for every in range(1, layers + 1) if layers // every == modules]
    if modules == 0 or len(intervals) == 1:
        found["interference_interval"] = intervals[0] if modules else 0
    if version == "3.5":
        found["kernel_norm"] = "l1"
    else:
        if attention + "q_feature_map.net.0.weight" not in state:
            raise Refusal(f"tensor {attention}q_feature_map.net.0.weight is missing: Wave Field "
                          "V4.1 has none and computes otherwise")
        found["feature_map_depth"] = 1 + (attention + "q_feature_map.net.2.weight" in state)
        found["cross_dim"] = attention + "cross_dim.weight" in state
        found["spectral_gate"] = attention + "spectral_gate.norm.weight" in state
    return {**found, **derive_geometry(state, version)}, modules, intervals


def stride(version, cells, tokens):
    exact = (cells - 1) / max(tokens - 1, 1)
    return max(exact, 1.0) if version == "4" else exact


def derive_geometry(state, version):
    cache = state.get("positional_encoding.pe_cache")
    if cache is None:
        return {}
    tokens = cache.shape[0]
    found = {"max_seq_len": tokens}
    step = state.get("layers.0.attention.field_stride")
    if step is None or step.dtype not in (torch.float32, torch.float64):
        return found  # rounded with the weights: no longer exact
    last_cell = state.get("layers.0.attention._cached_idx_lo")
    if version == "3.5" or step > 1:
        found["field_size"] = 1 + round(float(step) * max(tokens - 1, 1))
    elif last_cell is not None:
        found["field_size"] = 1 + int(last_cell[-1])
    return found


HINTS = {
    "field_size": "the cells of the field, field_size of the class",
    "max_seq_len": "max_seq_len of the class; published trainers set it 2 past field_size",
    "kernel_norm": '"dc" where the class had use_analytic_kernel=True (its default), else "l1"',
    "interference_interval": "one of {intervals}, as {layers} layers have {modules} modules",
}


def refuse_attention(config, where):
    if config.get("mixer", "wave") != "wave":
        raise Refusal(f"{where}: mixer is {json.dumps(config['mixer'])}: the published classes' "
                      "weights are those of wave layers, and layers of attention are not converted")


def complete(state, given, where):
    """The whole configuration: what the tensors say, and what `given`, read from `where`, adds."""
    refuse_attention(given, where)
    found, modules, intervals = derive(state)
    for key in given:
        if key not in KEYS + ("model_type", "mixer"):
            raise Refusal(f"{where}: unknown key \"{key}\"; known are {', '.join(KEYS)}")
    for key, value in found.items():
        free = key == "max_seq_len" or key == "interference_interval" and modules == 0
        same = key in given and type(given[key]) is type(value) and given[key] == value
        if key in given and not same and not free:
            raise Refusal(f"{where}: {key} is {json.dumps(given[key])}, the tensors say "
                          f"{json.dumps(value)}")
    known = {**found, **given}
    missing = [key for key in HINTS if key not in known]
    if missing:
        words = {"intervals": intervals, "layers": found["num_layers"], "modules": modules}
        lines = [f"\n  \"{key}\": {HINTS[key].format(**words)}" for key in missing]
        raise Refusal(f"{where} must say" + "".join(lines))
    config = {**DEFAULTS, **known}
    check_values(config, modules, where)
    if "field_size" in found:
        steps = [stride(config["version"], config["field_size"], tokens)
                 for tokens in (found["max_seq_len"], config["max_seq_len"])]
        if steps[0] != steps[1]:
            raise Refusal(f"{where}: max_seq_len {config['max_seq_len']} would move the tokens: "
                          f"the model was trained with {found['max_seq_len']}")
    check_mixing(state, config, given)
    return {key: config[key] for key in KEYS}


def check_mixing(state, config, given):
    """Published files without cross_dim.weight are older than V4.7: other feature maps, another
    limit of the damping. Their buffers tell them from other models without it."""
    if config["version"] != "4" or config["cross_dim"]:
        return
    name = "layers.0.attention.cross_dim.weight"
    if "layers.0.attention.field_stride" in state:
        raise Refusal(f"tensor {name} is missing: Wave Field before V4.7 has none and computes "
                      "otherwise")
    if given.get("cross_dim") is not False:
        raise Refusal(f"tensor {name} is missing; a model trained without it says "
                      "\"cross_dim\": false in CONFIG.json")


def is_dropout(value):
    return type(value) in (int, float) and 0 <= value <= 0.99


def is_switch(value):
    return type(value) is bool


def is_note(value):
    return type(value) is str and len(value.encode()) <= 31


def check_values(config, modules, where):
    layers, every = config["num_layers"], config["interference_interval"]
    least = {"field_size": 2, "max_seq_len": 1, "interference_interval": 0}
    for key, value in least.items():
        if type(config[key]) is not int or config[key] < value:
            raise Refusal(f"{where}: {key}: expected an integer from {value} on, found "
                          f"{json.dumps(config[key])}")
    expected = {"dropout": ("a number from 0 to 0.99", is_dropout),
                "residual_scale": ("true or false", is_switch),
                "allow_leaky_geometry": ("true or false", is_switch),
                "tokenizer": ("a text of up to 31 bytes", is_note)}
    for key, (words, fits) in expected.items():
        if not fits(config[key]):
            raise Refusal(f"{where}: {key}: expected {words}, found {json.dumps(config[key])}")
    if config["embedding_dim"] % config["num_heads"]:
        raise Refusal(f"embedding_dim {config['embedding_dim']} is not a multiple of num_heads "
                      f"{config['num_heads']}")
    given = layers // every if every else 0
    if given != modules:
        raise Refusal(f"{where}: interference_interval {every} gives {layers} layers {given} "
                      f"modules, the file has {modules}")
    norms = ("l1", "dc") if config["version"] == "4" else ("l1",)
    if config["kernel_norm"] not in norms:
        raise Refusal(f"{where}: kernel_norm: expected {' or '.join(norms)} in version "
                      f"{config['version']}, found {json.dumps(config['kernel_norm'])}")


def settle_geometry(config, note):
    """Keeps every token from reading the next one's cell, or refuses."""
    cells, tokens = config["field_size"], config["max_seq_len"]
    if config["allow_leaky_geometry"]:
        return
    if config["version"] == "4" and tokens > cells:
        note(f"max_seq_len lowered from {tokens} to {cells}: past the field's end all tokens fold "
             "onto its last cell, where each would read the next. Every other token keeps its "
             "place, so logits of sequences that fit are the same.")
        config["max_seq_len"] = tokens = cells
    cell, fraction = places(config["version"], cells, tokens)
    leaks = (cell + (fraction > 0))[:-1] >= cell[1:]
    if leaks.any():
        first = int(leaks.nonzero()[0])
        raise Refusal(
            f"the geometry leaks: with field_size {cells} and max_seq_len {tokens} token {first} "
            f"reads a cell that token {first + 1} writes, so this model was trained seeing its own "
            "targets and its perplexity means nothing; \"allow_leaky_geometry\": true in "
            "CONFIG.json converts it all the same")


def outline(config):
    """The names and shapes a model has; takes no memory for values from PyTorch 2.0 on."""
    meta = torch.device("meta")
    with meta if hasattr(meta, "__enter__") else contextlib.nullcontext():
        return {name: tuple(value.shape) for name, value in WaveField(config).state_dict().items()}


# ---- the two ways ----

HEAD, TABLE = "output_projection.weight", "token_embedding.weight"


def take_parameters(state, config):
    """The parameters alone, every one of the model's and no other."""
    expected = outline(config)
    for name, tensor in state.items():
        if name == HEAD or is_buffer(name):
            continue
        if name not in expected:
            raise Refusal(f"tensor {name}: the configuration has no place for it")
        if tuple(tensor.shape) != expected[name]:
            raise Refusal(f"tensor {name}: expected shape {list(expected[name])}, found "
                          f"{list(tensor.shape)}")
        if not tensor.is_floating_point():
            raise Refusal(f"tensor {name}: expected floating-point numbers, found {tensor.dtype}")
    for name in expected:
        if name not in state:
            raise Refusal(f"tensor {name} {list(expected[name])} is missing")
    if HEAD in state and not torch.equal(state[HEAD].to(state[TABLE].dtype), state[TABLE]):
        raise Refusal(f"{HEAD} differs from {TABLE}: the head is tied to the embedding")
    return {name: state[name] for name in expected}


def to_wavefield(checkpoint, config_path, folder, note=print):
    state = load_checkpoint(checkpoint)
    refuse_foreign(state)
    given = read_json(config_path)
    config = complete(state, given, config_path)
    settle_geometry(config, note)
    parameters = take_parameters(state, config)
    for name, tensor in parameters.items():
        if tensor.dtype == torch.float64:
            parameters[name] = tensor.float()
    if any(state[name].dtype == torch.float64 for name in parameters):
        note("float64 weights are rounded to float32.")
    os.makedirs(folder, exist_ok=True)
    write_safetensors(os.path.join(folder, "model.safetensors"), parameters)
    with replacing(os.path.join(folder, "config.json")) as part:
        with open(part, "w", encoding="utf-8") as file:
            json.dump({"model_type": "wavefield", **config}, file, indent=2)
    count = sum(tensor.numel() for tensor in parameters.values())
    note(f"{folder}: version {config['version']}, {count:,} parameters")


def read_model(folder):
    """config.json and the tensors of a model folder."""
    config = {**DEFAULTS, **read_json(os.path.join(folder, "config.json"))}
    refuse_attention(config, f"{folder}: config.json")
    config.setdefault("kernel_norm", "l1")
    missing = [key for key in KEYS if key not in config]
    if missing:
        raise Refusal(f"{folder}: config.json lacks {', '.join(missing)}")
    return config, take_parameters(
        load_checkpoint(os.path.join(folder, "model.safetensors")), config)


def published_buffers(config, tokens):
    """What the published classes keep beside their parameters, for a max_seq_len of `tokens`."""
    version, cells = config["version"], config["field_size"]
    buffers = {"positional_encoding.pe_cache":
               position_encoding(tokens, config["embedding_dim"]).float()}
    cell, fraction = places(version, cells, tokens)
    for layer in range(config["num_layers"]):
        prefix = f"layers.{layer}.attention."
        buffers[prefix + "field_stride"] = torch.tensor(stride(version, cells, tokens))
        if version == "4":
            buffers[prefix + "_cached_field_pos"] = (cell + fraction).float()
            buffers[prefix + "_cached_idx_lo"] = cell.clone()
            buffers[prefix + "_cached_idx_hi"] = (cell + 1).clamp(max=cells - 1)
            buffers[prefix + "_cached_frac"] = fraction.float()
    return buffers


def construction(config, tokens):
    """The call that makes the published class these names and shapes fit."""
    keys = ("vocab_size", "embedding_dim", "num_layers", "num_heads", "ffn_dim", "field_size")
    words = {key: config[key] for key in keys}
    words["max_seq_len"] = tokens
    words["dropout"] = config["dropout"]
    words["interference_interval"] = config["interference_interval"] or config["num_layers"] + 1
    if config["version"] == "4":
        words["use_analytic_kernel"] = config["kernel_norm"] == "dc"
        words["feature_map_depth"] = config["feature_map_depth"]
        words["use_spectral_gate"] = config["spectral_gate"]
    return "WaveFieldTransformer(" + ", ".join(f"{k}={v}" for k, v in words.items()) + ")"


def to_pytorch(folder, path, tokens=None, note=print):
    config, state = read_model(folder)
    tokens = config["max_seq_len"] if tokens is None else tokens
    length = min(tokens, config["max_seq_len"])
    mine, other = (places(config["version"], config["field_size"], n)
                   for n in (config["max_seq_len"], max(tokens, 1)))
    if tokens < 1 or any(not torch.equal(a[:length], b[:length]) for a, b in zip(mine, other)):
        raise Refusal(f"--max-seq-len {tokens} would move the tokens: the model has "
                      f"{config['max_seq_len']}")
    state[HEAD] = state[TABLE]
    if config["version"] == "4" and not config["cross_dim"]:
        note("cross_dim.weight is written as the identity, because the class always has it.")
        width = config["embedding_dim"] // config["num_heads"]
        for layer in range(config["num_layers"]):
            state[f"layers.{layer}.attention.cross_dim.weight"] = torch.eye(width)
    state.update(published_buffers(config, tokens))
    try:
        with replacing(path) as part, open(part, "wb") as file:
            torch.save(state, file)
    except RuntimeError as error:  # how PyTorch says that the disk is full
        raise Refusal(f"{path}: {error}") from error
    note(f"{path}: for load_state_dict(strict=True) of\n{construction(config, tokens)}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_subparsers(dest="way", required=True)
    way = ways.add_parser("to-wavefield", help="a state dict becomes a model folder")
    way.add_argument("checkpoint", metavar="CHECKPOINT.pt")
    way.add_argument("config", metavar="CONFIG.json")
    way.add_argument("folder", metavar="OUT_DIR")
    way = ways.add_parser("to-pytorch", help="a model folder becomes a state dict")
    way.add_argument("folder", metavar="MODEL_DIR")
    way.add_argument("path", metavar="OUT.pt")
    way.add_argument("--max-seq-len", type=int, metavar="N",
                     help="max_seq_len of the class that will load it (default: the model's)")
    words = parser.parse_args()
    try:
        if sys.byteorder != "little":
            raise Refusal("safetensors are little-endian, this machine is not")
        if words.way == "to-wavefield":
            to_wavefield(words.checkpoint, words.config, words.folder)
        else:
            to_pytorch(words.folder, words.path, words.max_seq_len)
    except (Refusal, OSError) as error:
        sys.exit(f"pytorch.py: {error}")


if __name__ == "__main__":
    main()
