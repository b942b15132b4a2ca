// The look of the report page.

/** CSS text. */
export const STYLE = `
body { font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; max-width: 70rem; margin: 2.5rem auto; padding: 0 1.25rem; color: #1d2733; background: #fff; }
h1 { margin: 0 0 1.2rem; font-size: 1.9rem; } h2 { margin: 0 0 .4rem; font-size: 1.25rem; } h3 { margin: 1rem 0 .3rem; font-size: 1rem; }
h3 small { font-weight: 400; color: #5b6875; } section { margin: 2.4rem 0; padding-top: 1.4rem; border-top: 1px solid #e1e6eb; }
section > p { max-width: 48rem; margin: 0 0 1rem; color: #3a4754; }
.brand { margin: 0; font-size: .8rem; letter-spacing: .08em; text-transform: uppercase; color: #5b6875; }
.tiles { display: flex; flex-wrap: wrap; gap: .9rem; margin: 0 0 1.2rem; }
.tile { flex: 1 1 11rem; padding: .8rem 1rem; border: 1px solid #e1e6eb; border-radius: .5rem; background: #f8fafb; }
.tile b { display: block; font-size: 1.7rem; line-height: 1.2; } .tile span { display: block; } .tile small { color: #5b6875; }
.promise { border-left: .3rem solid; padding: .7rem 1rem; background: #f4f6f8; } .kept { border-color: #2f855a; } .none { border-color: #c2410c; }
.row { display: flex; flex-wrap: wrap; gap: .6rem 2rem; align-items: flex-start; } .row > .scroll { flex: 1 1 24rem; } .row table { width: 100%; }
.halves, .thirds { display: grid; gap: 1rem 1.5rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
.thirds { grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); } .plot { max-width: 100%; } .plot svg { display: block; max-width: 100%; height: auto; }
table { border-collapse: collapse; margin: .4rem 0 1rem; font-variant-numeric: tabular-nums; font-size: .92rem; }
td, th { padding: .3rem .55rem; text-align: right; border-bottom: 1px solid #e1e6eb; } td:first-child, th:first-child { text-align: left; padding-left: 0; }
th { font-weight: 600; color: #45525f; vertical-align: bottom; } td { white-space: nowrap; } td:last-child, th:last-child { padding-right: 0; }
.scroll { overflow-x: auto; min-width: 0; max-width: 100%; } .wide table { width: 100%; } .halves + .scroll { margin-top: 1rem; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(3.6rem, 1fr)); gap: .5rem; } figure { margin: 0; }
@media (min-width: 55rem) { .examples { grid-template-columns: repeat(14, minmax(0, 1fr)); } }
figure img { display: block; width: 100%; max-width: 4rem; box-sizing: border-box; aspect-ratio: 1; image-rendering: pixelated; border: 2px solid #dfe5ea; border-radius: .25rem; }
figcaption { font-size: .68rem; line-height: 1.25; color: #45525f; overflow-wrap: anywhere; } .wrong img { border-color: #c2410c; } .wrong figcaption { color: #c2410c; }
.columns { display: flex; flex-wrap: wrap; gap: 2rem; align-items: flex-start; } .columns > .scroll { flex: 1 1 26rem; } .columns td { text-align: left; vertical-align: top; white-space: normal; } .columns td:first-child { color: #5b6875; white-space: nowrap; }
details { flex: 1 1 18rem; min-width: 0; max-width: 100%; } pre { font-size: .78rem; line-height: 1.4; background: #f4f6f8; padding: .8rem 1rem; border-radius: .4rem; overflow-x: auto; }
@media print { section { break-inside: avoid; } }
`;
