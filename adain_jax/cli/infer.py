"""`adain stylize`, which `infer.py` is too: pictures, folders of pictures, data sets, and clips.

The modules in the order of the work: `infer_options` checks the options; `jobs` finds the inputs
and names the results; `styles` encodes each style once; `pictures` (or `clips`) passes the contents
to the engine and writes the results; `report` records every outcome.
"""

import sys
from functools import partial
from typing import TYPE_CHECKING

from adain_jax.cli.command import (
    ended_by_signals,
    parse,
    run,
    signals_held,
    warnings_as_notes,
)
from adain_jax.cli.infer_options import Options, check, is_for_clips
from adain_jax.cli.timing import Timing

if TYPE_CHECKING:
    from adain_jax.cli.report import Report


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; exits with 0, 1 (something failed, the rest was done) or 2 (bad usage)."""
    options = parse(Options, "infer.py", arguments)
    run(partial(stylize, options), debug=options.debug)


def stylize(options: Options) -> int:
    """Stylizes, and says what was done; returns the exit code."""
    timing = Timing()
    check(options)
    for alpha in options.alpha:
        if not 0 <= alpha <= 1:
            what = (
                "more than the full style: it exaggerates" if alpha > 1 else "away from the style"
            )
            print(f"note: --alpha {alpha:g} is {what}", file=sys.stderr)
    # Not at the top: it imports JAX, which would slow down --help.
    with signals_held():
        from adain_jax.cli.report import Report
        from adain_jax.images import PictureWarning

    report = Report(options.debug)
    with ended_by_signals(), warnings_as_notes(PictureWarning):
        try:
            _stylize(options, report, timing)
        finally:
            if options.report:
                report.write(options.report)
    if options.content:
        print(report.summary())
    if options.timing:
        print(timing.summary(), file=sys.stderr)
    return 1 if report.failures else 0


def _stylize(options: Options, report: "Report", timing: Timing) -> None:
    with signals_held():
        from adain_jax.cli.clips import ClipRun
        from adain_jax.cli.pictures import PictureRun
        from adain_jax.cli.styles import Styles
        from adain_jax.inference.compilation_cache import enable_compilation_cache
        from adain_jax.inference.stylizer import Stylizer

    if not options.no_compilation_cache:
        enable_compilation_cache()
    timing.mark("imports")

    inputs = ClipRun(options, report) if is_for_clips(options) else PictureRun(options, report)
    styles = Styles(options, report)
    jobs = inputs.make_jobs(styles.sources)
    stylizer = Stylizer.load(
        options.model,
        network=options.network,
        encoder=options.encoder,
        decoder=options.decoder,
        dtype=options.dtype,
        batch_size=options.batch_size,
        tile=options.tile,
    )
    timing.mark("weights and names")

    with report.timed():
        jobs = report.without_existing(jobs, options)
        styles.encode(stylizer, jobs)
        timing.mark("styles")
        inputs.stylize(jobs, styles, stylizer)
        timing.mark("contents")
