"""Draw the pictures of make-figures.md: runs its blocks and saves every figure that the page shows, by its name there.

python docs/how-to/figures/draw.py
"""

import re
from pathlib import Path

HERE = Path(__file__).parent

if __name__ == "__main__":
    text = (HERE.parent / "make-figures.md").read_text(encoding="utf-8")
    names: dict = {}
    for code in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
        exec(code, names)
    for name in re.findall(r"\]\(figures/(\w+)\.png\)", text):
        names[name].savefig(HERE / f"{name}.png", dpi=75)
