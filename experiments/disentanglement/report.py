"""What a study found: a table of all settings, the differences to the plain VAE, and three figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy import stats

from experiments.disentanglement.data import FactorData, scored_examples
from vae_jax import plots, traverse
from vae_jax.disentanglement import binned_information
from vae_jax.distributions import center
from vae_jax.runs.markdown import table_lines
from vae_jax.runs.scores import encoder

Row = dict[str, Any]
COLUMNS = (
    ("elbo", "ELBO (nats)", ".2f"),
    ("mig", "MIG", ".3f"),
    ("jemmig", "JEMMIG", ".3f"),
    ("sap_squared_correlation", "SAP (R2)", ".3f"),
    ("modularity_of_active", "modularity of active", ".3f"),
    ("factor_vae_score", "FactorVAE score", ".3f"),
    ("gaussian_total_correlation", "TC of means (nats)", ".3f"),
    ("udr_spearman", "UDR (Spearman)", ".3f"),
    ("active_units", "active units", ".1f"),
)


def mean_and_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """The mean of independent values and half the width of its t interval (NaN for fewer than two)."""
    if len(values) < 2:
        return float(np.mean(values)) if len(values) else np.nan, np.nan
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values)), float(stats.t.ppf(0.5 + level / 2, len(values) - 1) * error)


def table(rows: Sequence[Row]) -> str:
    """A row for each method and strength: means over seeds, with the 95 % t interval of the MIG, in Markdown."""
    found = []
    for method, strength in dict.fromkeys((row["method"], row["strength"]) for row in rows):
        alike = [row for row in rows if (row["method"], row["strength"]) == (method, strength)]
        scored = [row for row in alike if "mig" in row]
        cells = [method, f"{strength:g}", str(len(alike)), str(len(alike) - len(scored))]
        for name, _, form in COLUMNS:
            values = [row[name] for row in scored if name in row]
            cells.append(f"{np.mean(values) if values else np.nan:{form}}")
            if name == "mig":
                cells[-1] += f" +- {mean_and_interval(values)[1]:{form}}"
        found.append(cells)
    titles = ("method", "strength", "seeds", "diverged", *(title for _, title, _ in COLUMNS))
    return "\n".join(table_lines(titles, found))


def differences(rows: Sequence[Row]) -> str:
    """MIG of each method and strength minus that of the VAE of the same seed: mean and 95 % t interval."""
    base = {row["seed"]: row["mig"] for row in rows if row["method"] == "VAE" and "mig" in row}
    if not base:
        return "no VAE was scored: nothing to compare with"
    lines = ["MIG minus that of the VAE of the same seed, mean and 95 % t interval over seeds (each by itself):"]
    for method, strength in dict.fromkeys((r["method"], r["strength"]) for r in rows if r["method"] != "VAE"):
        gains = [
            row["mig"] - base[row["seed"]]
            for row in rows
            if (row["method"], row["strength"]) == (method, strength) and "mig" in row and row["seed"] in base
        ]
        mean, half = mean_and_interval(gains)
        lines.append(f"  {method} {strength:g}: {mean:+.3f} +- {half:.3f} ({len(gains)} seeds)")
    return "\n".join(lines)


def best_run(rows: Sequence[Row]) -> Row | None:
    """The row of the highest MIG, if any run was scored."""
    return max((row for row in rows if "mig" in row), key=lambda row: row["mig"], default=None)


def figures(folder: Path, rows: Sequence[Row], best: Row, model: Any, params: Any, data: FactorData) -> None:
    """Writes violins.png, information.png and traversals.png; the latter two are of the best model."""
    by_method = {
        method: [row["mig"] for row in rows if row["method"] == method and "mig" in row]
        for method in dict.fromkeys(row["method"] for row in rows)
    }
    title = "MIG of every strength and seed (20 bins, posterior means)"
    plots.save(plots.violins(by_method, title=title, label="MIG"), folder / "violins.png")
    examples, factors = scored_examples(data)
    encoded = encoder(model, data.transform)(params, jax.random.key(0), examples)
    information = np.asarray(binned_information(encoded["loc"], factors).mutual_information)
    name = f"{best['method']} {best['strength']:g}, seed {best['seed']}, MIG {best['mig']:.2f}"
    rates = encoded["rates"].mean(axis=0) if "rates" in encoded else None
    drawn = plots.information(information, data.factor_names, title=name, rates=rates)
    plots.save(drawn, folder / "information.png")
    x = jax.jit(data.transform)(jax.random.key(0), examples[0])
    moved = jax.jit(lambda p, x: traverse(model, p, center(model.encode(p, x))))(params, x)
    plots.save(plots.traversals(moved, rates), folder / "traversals.png")
