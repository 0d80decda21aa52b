"""Tags by which runs are found in the UI: what was restored or drilled, where to, and how."""

from __future__ import annotations

import dagster as dg


def tag_run(context: dg.AssetExecutionContext, **facts: str) -> None:
    """Put `moi/<name>` on the run for every fact that is not empty."""
    tags = {f"moi/{name}": value for name, value in facts.items() if value}
    context.instance.add_run_tags(context.run.run_id, tags)
