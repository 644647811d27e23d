"""Measure the memory of calibration and reports at DeiT-S's shape: ``python -m tests.nas.memory``.

Each stage runs in a process of its own, on random images, with random weights: what memory holds
does not depend on them. The result is docs/results/memory.json.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from nas.data import ImageSet
from nas.numerics.integer import IntegerNetwork
from nas.search.report import compare_with_golden, evaluate_model
from nas.space import Space
from nas.supernet.contract import compare
from nas.supernet.export import export
from nas.supernet.importance import importance
from nas.supernet.initial import calibrate
from nas.supernet.sensitivity import row_sensitivity
from nas.supernet.supernet import Supernet, SupernetConfig
from nas.training.evaluate import evaluate_subnet
from rtl.files import atomic_write
from rtl.model import Preprocessing

RESULT = Path(__file__).parents[2] / "docs" / "results" / "memory.json"
STAGES = (
    "start",
    "calibration",
    "importance",
    "sensitivity",
    "quantized",
    "integer",
    "contract",
    "golden",
)
SIDE = 224


@dataclass(frozen=True)
class Measurement:
    """Sizes of what is measured.

    Parameters
    ----------
    images : int
    depth : int
        Blocks; DeiT-S has 12.
    stage : str, optional
        The one to run in this process; by default all, each in its own.
    """

    images: int = 64
    depth: int = 12
    stage: str | None = None

    @property
    def space(self) -> Space:
        return Space(
            image=(SIDE, SIDE, 3),
            patch=16,
            classes=1000,
            head_dim=64,
            widths=(384,),
            depths=(self.depth,),
            heads=(6,),
            mlp_ratios=(4,),
            fractions=(0.0, 0.5, 1.0),
            row_granularity=32,
        )

    def run(self) -> None:
        """Run one stage."""
        torch.manual_seed(0)
        net = Supernet(SupernetConfig(self.space, (120, 120, 120), 60.0))
        arch = self.space.largest(0.5)
        pixels = torch.randint(0, 256, (self.images, SIDE, SIDE, 3), dtype=torch.uint8)
        images = ImageSet(pixels, torch.arange(self.images) % self.space.classes)
        if self.stage == "calibration":
            calibrate(net, images.pixels)
        elif self.stage == "importance":
            importance(net, images)
        elif self.stage == "sensitivity":
            row_sensitivity(net, images)
        elif self.stage == "quantized":
            evaluate_subnet(net, arch, images)
        elif self.stage != "start":
            calibrate(net, images.pixels[:2])
            names = tuple(map(str, range(self.space.classes)))
            steps = Preprocessing(crop=(SIDE, SIDE), mode="RGB")
            model = export(net, arch, class_names=names, preprocessing=steps)
            if self.stage == "integer":
                evaluate_model(IntegerNetwork(model), images)
            elif self.stage == "contract":
                compare(net, arch, model, images)
            else:
                compare_with_golden(IntegerNetwork(model), images)

    def measured(self, stage: str) -> dict[str, float]:
        """Run a stage in a process of its own."""
        command = [sys.executable, "-m", "tests.nas.memory", "--stage", stage]
        options = ["--images", str(self.images), "--depth", str(self.depth)]
        result = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
        return json.loads(result.stdout)


def main() -> None:
    """Measure all stages, or run the one that is asked for."""
    options = tyro.cli(Measurement)
    if options.stage:
        started = time.monotonic()
        options.run()
        # Not getrusage's, which begins with that of the process that started this one.
        status = Path("/proc/self/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
        print(json.dumps({"peak_bytes": peak, "seconds": round(time.monotonic() - started, 1)}))
        return
    found = {}
    for stage in STAGES:
        found[stage] = options.measured(stage)
        print(
            f"{stage:12} {found[stage]['peak_bytes'] / 1e9:.2f} GB, {found[stage]['seconds']} s",
            flush=True,
        )
    with atomic_write(RESULT, "w") as file:
        json.dump(
            {"schema": 1, "images": options.images, "depth": options.depth, "stages": found},
            file,
            indent=1,
        )


if __name__ == "__main__":
    main()
