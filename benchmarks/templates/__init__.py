"""The page of the report: `report.html` (jinja2) and `report.css`, which is written into the page."""
