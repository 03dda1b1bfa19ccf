"""What TensorBoard shows of a run that was cut short and resumed: every step once.

Usage: tensorboard_reads.py WAVEFIELD. Exit status 77: the tensorboard package is not there.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

try:
    from tensorboard.backend.event_processing import event_accumulator
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

TRAIN = """train --data data.txt --out run --device cpu --tensorboard"""
NEW = """--config demo --set embedding_dim=16 num_layers=2 num_heads=2 ffn_dim=24 field_size=70
    max_seq_len=32 --steps 12 --batch-size 2 --save-every 5 --keep 0 --eval-every 4"""


def run(wavefield, folder, options):
    subprocess.run([wavefield, *options.split()], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def scalars(folder):
    """{tag: [(step, value)]} of a folder of event files."""
    reader = event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    reader.Reload()
    return {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def expected(metrics):
    """The same from metrics.jsonl."""
    names = {
        "loss": "train/loss",
        "accuracy": "train/accuracy",
        "learning_rate": "train/learning_rate",
        "gradient_norm": "train/gradient_norm",
        "held_out_loss": "eval/loss",
        "held_out_perplexity": "eval/perplexity",
        "held_out_accuracy": "eval/accuracy",
        "held_out_bits_per_byte": "eval/bits_per_byte",
    }
    tags = {tag: [] for tag in names.values()}
    for line in metrics.read_text().splitlines():
        record = json.loads(line)
        for key, tag in names.items():
            if key in record:
                tags[tag].append((record["step"], record[key]))
    return tags


def main(wavefield):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wavefield-tensorboard-"))
    try:
        (folder / "data.txt").write_text("the fox sees the old owl. the hare follows. " * 60)
        run(wavefield, folder, f"{TRAIN} {NEW}")
        # As if the process had been killed after step 12, when step 5 was the last saved.
        for name in ("step-00000010", "step-00000012", "best"):
            shutil.rmtree(folder / "run" / name)
        run(wavefield, folder, f"{TRAIN} --resume")
        assert len(list((folder / "run").glob("events.out.tfevents.*"))) == 2
        found, wanted = scalars(folder / "run"), expected(folder / "run" / "metrics.jsonl")
        assert set(found) == set(wanted) | {"train/tokens_per_second"}, sorted(found)
        assert [step for step, _ in found["train/tokens_per_second"]] == list(range(1, 13))
        for tag, points in wanted.items():
            assert [p[0] for p in found[tag]] == [p[0] for p in points], (tag, found[tag])
            for (step, value), (_, other) in zip(points, found[tag]):
                assert abs(value - other) <= 1e-6 * abs(value), (tag, step, value, other)
    finally:
        shutil.rmtree(folder)


main(sys.argv[1])
