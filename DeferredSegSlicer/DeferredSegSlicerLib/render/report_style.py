"""How the report looks, on screen and on paper."""

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; color: #1b1d21;
  background: #fff; margin: 0 auto; max-width: 1180px; padding: 28px 32px 60px; }
h1 { font-size: 26px; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 18px; margin: 38px 0 10px; }
.what { font-size: 18px; margin: 2px 0 8px; color: #444a54; }
.only { display: inline-block; margin: 0; padding: 2px 10px; border-radius: 4px; background: #f1f2f4; color: #444a54;
  font-size: 13px; }
.warning { border-left: 4px solid #c2410c; background: #fff5ed; padding: 8px 14px; margin: 14px 0 0; }
.figures { display: grid; grid-template-columns: repeat(4, 1fr); gap: 14px; margin: 22px 0; }
.figures div { border: 1px solid #dfe2e7; border-radius: 8px; padding: 12px 16px; display: flex;
  flex-direction: column; }
.figures strong { font-size: 26px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.figures span { font-size: 13px; }
.figures small { color: #6b7280; font-size: 12px; }
figure { margin: 0; }
figure img { width: 100%; height: auto; display: block; border-radius: 6px; }
figcaption, .caption { color: #5a606b; font-size: 13px; margin: 6px 0 0; }
.thumbnails { display: grid; grid-template-columns: repeat(4, 1fr); gap: 14px; margin-bottom: 20px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
.list th { text-align: left; font-weight: 600; border-bottom: 2px solid #1b1d21; padding: 5px 10px 5px 0; }
.list td { border-bottom: 1px solid #e4e6ea; padding: 5px 10px 5px 0; vertical-align: top; }
.list .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.list .n:last-child { padding-right: 0; }
.regions code { font-size: 11px; color: #5a606b; }
i { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 7px; vertical-align: -1px;
  border: 1px solid rgba(0, 0, 0, .3); print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.details { display: grid; grid-template-columns: 1fr 1fr; gap: 26px 40px; align-items: start; }
.details caption { text-align: left; font-weight: 600; padding-bottom: 4px; }
.details th { text-align: left; font-weight: 400; color: #5a606b; width: 40%; vertical-align: top;
  padding: 3px 10px 3px 0; }
.details td { overflow-wrap: anywhere; padding: 3px 0; vertical-align: top; }
.details tr { border-top: 1px solid #e4e6ea; }
@media (max-width: 760px) { .figures, .thumbnails, .details { grid-template-columns: 1fr 1fr; } }
@media print {
  @page { size: A4; margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 11px; }
  table { font-size: 9.5px; }
  .regions code { font-size: 7.5px; }
  tr, figure, .figures div { break-inside: avoid; }
  h2 { break-after: avoid; }
  thead { display: table-header-group; }
}
"""
