"""PyTorch and Wavefield: the same weights give the same logits, in both directions.

    python3 tests/interchange.py WAVEFIELD_BINARY EXAMPLES_FOLDER [unittest options]

Exit status 77: skipped, because PyTorch is absent.
"""

import contextlib
import copy
import filecmp
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

BINARY, EXAMPLES = sys.argv[1:3]
try:
    import torch
except ImportError:
    print("skipped: needs PyTorch (apt-get install python3-torch, or pip install torch)")
    sys.exit(77)
torch.set_num_threads(1)
sys.path.insert(0, EXAMPLES)
import pytorch as interchange  # noqa: E402
from pytorch_model import WaveField, places  # noqa: E402

SMALL = {"vocab_size": 41, "embedding_dim": 24, "num_layers": 3, "num_heads": 3, "ffn_dim": 41,
         "field_size": 113, "max_seq_len": 50, "interference_interval": 2}
V3 = {"version": "3.5", "kernel_norm": "l1", **SMALL}
V4 = {"version": "4", "kernel_norm": "l1", "feature_map_depth": 2, "cross_dim": True,
      "spectral_gate": False, **SMALL}
CASES = {
    "v3.5": V3,
    "v3.5, no interference": {**V3, "interference_interval": 0},
    "v3.5, leaky": {**V3, "field_size": 50, "allow_leaky_geometry": True},
    "v4": V4,
    "v4, depth 1": {**V4, "feature_map_depth": 1},
    "v4, no cross_dim": {**V4, "cross_dim": False},
    "v4, gate": {**V4, "spectral_gate": True},
    "v4, gate, odd padding": {**V4, "spectral_gate": True, "field_size": 26, "max_seq_len": 26},
    "v4, dc": {**V4, "kernel_norm": "dc"},
    "v4, dc, gate, depth 1": {**V4, "kernel_norm": "dc", "spectral_gate": True,
                              "feature_map_depth": 1},
    "v4, a cell a token": {**V4, "field_size": 50, "interference_interval": 1},
    "v4, leaky": {**V4, "field_size": 40, "allow_leaky_geometry": True},
    "v4, one head, one layer": {**V4, "num_heads": 1, "num_layers": 1, "interference_interval": 0},
}

TEXT = "Of shoes and ships and sealing-wax, of cabbages and kings. " * 40


def random_model(config, seed=0):
    """Off the initial values, of which many are zero, one or the identity; and large enough that
    what tokens read in the field weighs as much as what they are."""
    torch.manual_seed(seed)
    model = WaveField(config)
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() == 2:
                value.normal_(0, value.shape[1] ** -0.5)
            else:
                value.add_(0.1 * torch.randn_like(value))
    return model.eval()


def as_published(config, model):
    """The state dict the published class would have saved."""
    state = dict(model.state_dict())
    state["output_projection.weight"] = state["token_embedding.weight"]
    return {**state, **interchange.published_buffers(config, config["max_seq_len"])}


def some_tokens(config, seed=1):
    torch.manual_seed(seed)
    return torch.randint(0, config["vocab_size"], (config["max_seq_len"],))


def allowed(config):
    """16·ε·√(terms of the sums on the longest way through), as `wavefield check` has it."""
    terms = config["vocab_size"] + config["num_layers"] * (
        4 * config["embedding_dim"] + config["ffn_dim"] + config["field_size"])
    return 16 * 2.0 ** -23 * terms ** 0.5


def reference(model, tokens):
    """The logits in double precision; `model` stays as it is."""
    with torch.no_grad():
        return copy.deepcopy(model).double()(tokens[None])[0]


def difference(a, b):
    """The largest, over the root mean square of b; infinite for what is not finite."""
    error = (a - b).abs().max() / b.pow(2).mean().sqrt()
    return float(error) if torch.isfinite(error) else float("inf")


class Interchange(unittest.TestCase):
    def setUp(self):
        self.holder = tempfile.TemporaryDirectory()
        self.addCleanup(self.holder.cleanup)
        self.notes = []

    def path(self, *names):
        return os.path.join(self.holder.name, *names)

    def wavefield(self, *words):
        done = subprocess.run([BINARY, *words], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def logits(self, tokens, folder="model"):
        self.wavefield("logits", "--model", self.path(folder), "--out", self.path("logits"),
                       "--device", "cpu", "--tokens", ",".join(map(str, tokens.tolist())))
        return interchange.read_safetensors(self.path("logits"))["logits"].double()

    def convert(self, checkpoint, given, folder="model"):
        torch.save(checkpoint, self.path("checkpoint.pt"))
        with open(self.path("given.json"), "w", encoding="utf-8") as file:
            json.dump(given, file)
        interchange.to_wavefield(self.path("checkpoint.pt"), self.path("given.json"),
                                 self.path(folder), self.notes.append)
        with open(self.path(folder, "config.json"), encoding="utf-8") as file:
            return json.load(file)

    def expect_refusal(self, checkpoint, given, *parts):
        with self.assertRaises(interchange.Refusal) as caught:
            self.convert(checkpoint, given, "refused")
        for part in parts:
            self.assertIn(part, str(caught.exception))
        self.assertFalse(os.path.exists(self.path("refused")))

    def expect_same(self, model, config, folder="model"):
        tokens = some_tokens(config)
        found, expected = self.logits(tokens, folder), reference(model, tokens)
        self.assertLessEqual(difference(found, expected), allowed(config))
        return found, expected

    # ---- from PyTorch ----

    def test_random_weights_give_the_same_logits(self):
        for name, config in CASES.items():
            with self.subTest(name):
                model = random_model(config)
                self.convert(model.state_dict(), config)
                _, expected = self.expect_same(model, config)
                with torch.no_grad():  # a small change would not go unseen
                    model.layers[0].attention.wave_phase.add_(0.1)
                moved = reference(model, some_tokens(config))
                self.assertGreater(difference(moved, expected), 10 * allowed(config))

    def test_published_files_say_most_of_their_configuration(self):
        for name, config in CASES.items():
            if config.get("cross_dim") is False:
                continue  # no published class is without it
            with self.subTest(name):
                model = random_model(config)
                given = {key: config[key] for key in ("kernel_norm", "allow_leaky_geometry",
                                                      "interference_interval") if key in config}
                found = self.convert(as_published(config, model), given)
                for key, value in config.items():
                    self.assertEqual(found[key], value, key)
                self.expect_same(model, found)

    def test_every_wrapping_and_every_type(self):
        model = random_model(V4)
        for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
            cast = copy.deepcopy(model).to(dtype)
            state = {name: value.to(dtype) if value.is_floating_point() else value
                     for name, value in as_published(V4, cast).items()}
            inside = {name.replace(".ffn.", ".ffn._orig_mod."): v for name, v in state.items()}
            wrapped = [
                state,
                {"model": inside, "optimizer": {"state": {}}, "step": 7, "loss": torch.zeros(())},
                {"model_state_dict": {"module." + name: v for name, v in state.items()}},
                {"state_dict": {"_orig_mod." + name: v for name, v in inside.items()}},
                {"model": {"state_dict": {"module._orig_mod." + n: v for n, v in state.items()}}},
            ]
            for checkpoint in wrapped:
                self.convert(checkpoint, V4)
                stored = interchange.read_safetensors(self.path("model", "model.safetensors"))
                self.assertEqual(set(stored), set(model.state_dict()))
                kept = torch.float32 if dtype == torch.float64 else dtype
                for name, value in stored.items():
                    self.assertTrue(torch.equal(value, model.state_dict()[name].to(kept)), name)
            self.expect_same(copy.deepcopy(model).to(kept), V4)

    # ---- to PyTorch ----

    def train(self, config, folder):
        with open(self.path("text"), "w", encoding="utf-8") as file:
            file.write(TEXT)
        with open(self.path("config.json"), "w", encoding="utf-8") as file:
            json.dump({**config, "vocab_size": 256, "tokenizer": "byte"}, file)
        self.wavefield("train", "--config", self.path("config.json"), "--data", self.path("text"),
                       "--out", self.path(folder), "--steps", "4", "--batch-size", "2",
                       "--learning-rate", "0.01", "--device", "cpu")
        return {**config, "vocab_size": 256}

    def test_trained_weights_go_there_and_back(self):
        for name in ("v3.5", "v4", "v4, no cross_dim", "v4, dc, gate, depth 1",
                     "v4, a cell a token"):
            with self.subTest(name):
                folder = "trained " + name
                config = self.train(CASES[name], folder)
                found, state = interchange.read_model(self.path(folder))
                model = WaveField(found).eval()
                model.load_state_dict(state, strict=True)
                logits, _ = self.expect_same(model, config, folder)

                interchange.to_pytorch(self.path(folder), self.path("out.pt"), None,
                                       self.notes.append)
                state = torch.load(self.path("out.pt"), weights_only=True)
                self.assertEqual(
                    state["output_projection.weight"].data_ptr(),
                    state["token_embedding.weight"].data_ptr())
                self.convert(state, {key: config[key] for key in
                                     ("kernel_norm", "interference_interval")}, folder + " again")
                again = self.logits(some_tokens(config), folder + " again")
                if config.get("cross_dim", True):
                    self.assertTrue(torch.equal(logits, again))
                self.assertLessEqual(difference(again, logits), allowed(config))

    def test_layers_of_attention_are_refused(self):
        for mixer in ("attention", ["wave", "attention", "wave"]):
            folder = "mixed" if isinstance(mixer, list) else "unmixed"
            self.train({**V4, "mixer": mixer}, folder)
            with self.assertRaisesRegex(interchange.Refusal, "config.json: mixer is"):
                interchange.to_pytorch(self.path(folder), self.path("out.pt"))

    def expect_published(self, config, attention, buffers):
        """OUT.pt has these names and shapes, and no other."""
        D, H, F = config["embedding_dim"], config["num_heads"], config["ffn_dim"]
        V, M = config["vocab_size"], config["max_seq_len"]
        norm = {"weight": (D,), "bias": (D,)}
        expected = {"token_embedding.weight": (V, D), "output_projection.weight": (V, D),
                    "positional_encoding.pe_cache": (M, D), "norm.weight": (D,), "norm.bias": (D,)}
        layer = {"attention.wave_frequency": (H,), "attention.wave_damping": (H,),
                 "attention.wave_phase": (H,), "attention.field_coupling": (H, H),
                 "attention.out_proj.weight": (D, D), "attention.out_proj.bias": (D,),
                 "attention.field_stride": (),
                 "ffn.0.weight": (F, D), "ffn.0.bias": (F,), "ffn.3.weight": (D, F),
                 "ffn.3.bias": (D,), **{f"norm{i}.{n}": s for i in (1, 2) for n, s in norm.items()},
                 **{"attention." + n: s for n, s in {**attention, **buffers}.items()}}
        module = {"interference_temperature": (), "norm.weight": (D,), "norm.bias": (D,)}
        for name, (rows, columns) in {"local_phase_proj": (D, D), "global_phase_proj": (D, D),
                                      "interference_gate": (D, 2 * D), "compress": (D // 4, D),
                                      "expand": (D, D // 4)}.items():
            module.update({name + ".weight": (rows, columns), name + ".bias": (rows,)})
        for i in range(config["num_layers"]):
            expected.update({f"layers.{i}.{n}": s for n, s in layer.items()})
        for i in range(config["num_layers"] // config["interference_interval"]):
            expected.update({f"interference_modules.{i}.{n}": s for n, s in module.items()})
        self.convert(random_model(config).state_dict(), config)
        interchange.to_pytorch(self.path("model"), self.path("out.pt"), None, self.notes.append)
        state = torch.load(self.path("out.pt"), weights_only=True)
        self.assertEqual({n: tuple(t.shape) for n, t in state.items()}, expected)
        for name, value in state.items():
            whole = name.endswith(("_idx_lo", "_idx_hi"))
            self.assertEqual(value.dtype, torch.int64 if whole else torch.float32, name)
        return state

    def test_names_are_the_published_ones(self):
        D, H, M = SMALL["embedding_dim"], SMALL["num_heads"], SMALL["max_seq_len"]
        d = D // H
        self.expect_published(V3, {
            "qkv_proj.weight": (3 * D, D), "qkv_proj.bias": (3 * D,),
            "gate_proj.weight": (D, D), "gate_proj.bias": (D,)}, {})
        maps = {f"{which}_feature_map.net.{i}.{name}": shape for which in "qk" for i in (0, 2)
                for name, shape in (("weight", (d, d)), ("bias", (d,)))}
        attention = {"qkvg_proj.weight": (4 * D, D), "qkvg_proj.bias": (4 * D,),
                     "cross_dim.weight": (d, d), **maps}
        buffers = {"_cached_field_pos": (M,), "_cached_idx_lo": (M,), "_cached_idx_hi": (M,),
                   "_cached_frac": (M,)}
        self.expect_published(V4, attention, buffers)
        state = self.expect_published({**V4, "cross_dim": False}, attention, buffers)
        self.assertTrue(torch.equal(state["layers.2.attention.cross_dim.weight"], torch.eye(d)))
        self.expect_published({**V4, "spectral_gate": True}, {
            **attention, "spectral_gate.norm.weight": (d,), "spectral_gate.norm.bias": (d,),
            "spectral_gate.net.0.weight": (D, D), "spectral_gate.net.0.bias": (D,),
            "spectral_gate.net.2.weight": (32 * H, D), "spectral_gate.net.2.bias": (32 * H,),
        }, buffers)
        self.assertIn("use_spectral_gate=True", self.notes[-1])

    # ---- geometry ----

    def test_two_tokens_past_the_field_are_cut(self):
        config = {**V4, "field_size": 50, "max_seq_len": 52}
        state = as_published(config, random_model(config))
        found = self.convert(state, {"kernel_norm": "l1", "interference_interval": 2})
        self.assertEqual((found["field_size"], found["max_seq_len"]), (50, 50))
        self.assertIn("max_seq_len lowered from 52 to 50", self.notes[0])
        self.expect_same(random_model({**config, "allow_leaky_geometry": True}), found)

        interchange.to_pytorch(self.path("model"), self.path("out.pt"), 52, self.notes.append)
        again = torch.load(self.path("out.pt"), weights_only=True)
        self.assertEqual(set(again), set(state))
        for name, value in again.items():
            self.assertTrue(torch.equal(value, state[name]), name)
        for tokens in (49, 0):
            with self.assertRaisesRegex(interchange.Refusal, f"--max-seq-len {tokens} would move"):
                interchange.to_pytorch(self.path("model"), self.path("out.pt"), tokens, print)

    def test_leaks_and_moved_tokens_are_refused(self):
        state = as_published(V4, random_model(V4))
        given = {"kernel_norm": "l1", "interference_interval": 2}
        self.expect_refusal(state, {**given, "max_seq_len": 49}, "max_seq_len 49 would move")
        self.expect_refusal(state, {**given, "field_size": 112}, "field_size is 112", "say 113")
        bare = random_model(V4).state_dict()
        leaky = {**given, "field_size": 60, "max_seq_len": 50}
        self.expect_refusal(bare, leaky, "leaks", "allow_leaky_geometry")
        self.convert(bare, {**leaky, "allow_leaky_geometry": True})

    def test_places(self):
        """Against the formula in floating point where that is safe, and at a length where not."""
        for version, cells, tokens in (("3.5", 113, 50), ("3.5", 9, 9), ("4", 113, 50),
                                       ("4", 9, 12), ("4", 2, 1), ("3.5", 2, 1)):
            step = interchange.stride(version, cells, tokens)
            last = cells - (1 if version == "4" else 2)
            cell, fraction = places(version, cells, tokens)
            for i in range(tokens):
                self.assertAlmostEqual(float(cell[i] + fraction[i]), min(i * step, last), places=9)
                self.assertLess(float(fraction[i]), 1)
        cell, fraction = places("4", 3 * (2 ** 22 - 1) + 1, 2 ** 22)
        self.assertEqual(int(cell[-1]), 3 * (2 ** 22 - 1))
        self.assertFalse(fraction.any())

    # ---- refusals ----

    def test_files_that_cannot_be_read_or_written_are_named(self):
        given = self.path("given.json")
        torch.save(random_model(V4).state_dict(), self.path("checkpoint.pt"))
        for content in (b"{", b"\xff", b"[]"):
            with open(given, "wb") as file:
                file.write(content)
            with self.assertRaisesRegex(interchange.Refusal, "given.json: "):
                interchange.to_wavefield(self.path("checkpoint.pt"), given, self.path("refused"))
        self.convert(random_model(V4).state_dict(), V4)
        with self.assertRaises(OSError):
            interchange.to_pytorch(self.path("model"), self.path("nowhere", "out.pt"),
                                   note=self.notes.append)

    def test_other_lines_are_refused_by_name(self):
        state = random_model(V4).state_dict()
        for name, reason in (
                ("layers.0.attention.write_gate_proj.weight", "before V4.7"),
                ("layers.0.attention.q_feature_map.linear.weight", "V4.3"),
                ("layers.1._orig_mod.attention.delta_correction.out_scale", "delta correction"),
                ("layers.1.q_proj.weight", "gated linear attention"),
                ("layers.1.self_attn.in_proj_weight", "softmax attention"),
                ("layers.0.attention.component_weights", "several components"),
                ("layers.0.attention.wave_branch_scale", "mixed with wave heads"),
                ("layers.0.attention._frozen_damping_mask", "frozen damping")):
            plain = name.replace("._orig_mod", "")
            self.expect_refusal({**state, name: torch.zeros(3)}, V4, plain, reason)
        self.expect_refusal({**state, "layers.0.extra": torch.zeros(3)}, V4,
                            "no place", "layers.0.extra")
        maps = {name: t for name, t in state.items() if "feature_map" not in name}
        self.expect_refusal(maps, V4, "q_feature_map.net.0.weight is missing", "V4.1")
        older = as_published(V4, random_model(V4))
        older = {name: t for name, t in older.items() if "cross_dim" not in name}
        unmixed = {**V4, "cross_dim": False}
        self.expect_refusal(older, unmixed, "cross_dim.weight is missing", "before V4.7")
        del unmixed["cross_dim"]
        self.expect_refusal(random_model({**V4, "cross_dim": False}).state_dict(), unmixed,
                            "\"cross_dim\": false")

    def test_what_does_not_fit_is_named(self):
        state = as_published(V4, random_model(V4))
        bare = random_model(V4).state_dict()
        name = "layers.1.ffn.3.bias"
        self.expect_refusal({**state, name: torch.zeros(25)}, V4, name, "[24]", "[25]")
        self.expect_refusal({**state, name: torch.zeros(24, dtype=torch.int32)}, V4, name, "int32")
        self.expect_refusal({n: t for n, t in state.items() if n != name}, V4, name, "missing")
        head = {**state, "output_projection.weight": state["token_embedding.weight"] + 1}
        self.expect_refusal(head, V4, "output_projection.weight differs")
        self.expect_refusal(bare, {}, "must say", "field_size", "max_seq_len", "kernel_norm",
                            "interference_interval", "[2, 3]")
        self.expect_refusal(bare, {**V4, "feild_size": 3}, "given.json", "unknown key \"feild_size\"")
        for key, value in (("num_heads", 4), ("version", "3.5"), ("feature_map_depth", 1),
                           ("vocab_size", 40), ("spectral_gate", True)):
            self.expect_refusal(bare, {**V4, key: value}, key, "the tensors say")
        self.expect_refusal(bare, {**V4, "interference_interval": 1}, "3 modules, the file has 1")
        self.expect_refusal(bare, {**V4, "kernel_norm": "l2"}, "kernel_norm", "l1 or dc")
        self.expect_refusal(bare, {**V4, "field_size": "wide"}, "field_size", "integer from 2")
        self.expect_refusal(bare, {**V4, "max_seq_len": True}, "max_seq_len", "true")
        self.expect_refusal(bare, {**V4, "mixer": "attention"}, "mixer", "not converted")
        # what `wavefield` would refuse to load
        self.expect_refusal(bare, {**V4, "num_layers": 3.0}, "num_layers is 3.0", "say 3")
        self.expect_refusal(bare, {**V4, "cross_dim": 1}, "cross_dim is 1", "say true")
        for key, value in (("dropout", 7), ("dropout", float("nan")), ("dropout", True),
                           ("tokenizer", 7), ("tokenizer", "\u00e9" * 16),
                           ("residual_scale", 1), ("allow_leaky_geometry", "yes")):
            self.expect_refusal(bare, {**V4, key: value}, f"given.json: {key}: expected")
        self.expect_refusal({"weights": bare}, V4, "no state dict", "found weights")
        self.expect_refusal([1, 2], V4, "no state dict", "list")
        self.expect_refusal({**bare, "module." + name: bare[name]}, V4, "twice")
        self.expect_refusal({"model": random_model(V4)}, V4, "pickle can run code")

    # ---- the commands ----

    def command(self, *words):
        """The exit status and the output of pytorch.py, run in this process."""
        output = io.StringIO()
        with mock.patch("sys.argv", ["pytorch.py", *words]), contextlib.redirect_stdout(output):
            try:
                interchange.main()
                return 0, output.getvalue()
            except SystemExit as end:
                return 1, str(end)

    def test_the_commands(self):
        model = random_model(V4)
        torch.save(model.state_dict(), self.path("in.pt"))
        with open(self.path("given.json"), "w", encoding="utf-8") as file:
            json.dump(V4, file)
        script = os.path.join(EXAMPLES, "pytorch.py")
        done = subprocess.run([sys.executable, script, "to-wavefield", self.path("in.pt"),
                               self.path("given.json"), self.path("model")],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.expect_same(model, V4)

        status, output = self.command("to-pytorch", self.path("model"), self.path("out.pt"))
        self.assertEqual(status, 0, output)
        self.assertIn("WaveFieldTransformer(vocab_size=41", output)
        stored = self.path("model", "model.safetensors")
        status, output = self.command("to-wavefield", stored, self.path("given.json"),
                                      self.path("again"))
        self.assertEqual(status, 0, output)
        self.assertTrue(filecmp.cmp(stored, self.path("again", "model.safetensors"), False))
        for name, size in ((self.path("in.pt"), 3000), (stored, 3000), (stored, 5), (stored, 0)):
            with open(name, "r+b") as file:
                file.truncate(size)
            status, output = self.command("to-wavefield", name, self.path("given.json"),
                                          self.path("other"))
            self.assertEqual(status, 1)
            self.assertIn(name, output)
        status, output = self.command("to-pytorch", self.path("nowhere"), self.path("out.pt"))
        self.assertEqual(status, 1)
        self.assertIn("nowhere", output)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
