"""The paper's claims as experiments: `adain reproduce NAME|all`.

`experiments` holds one module for each claim. `lab` is what they have at hand: pictures, the encoder,
`adain train`, and the losses; `verdicts` says what can be concluded from a few seeds, `figures` draws,
`runner` runs what has no result yet, and `page` writes docs/reproduction.md from the results.
"""
