"""Build Al-soc-MOF and its Al3O node, look at the open sites, load H2, write files.

python examples/build_structures.py [OUTPUT_FOLDER]      (a second or two)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from alh2.structure.cluster import carve_node
from alh2.structure.crystal import build_al_soc_mof
from alh2.structure.io import write_structure
from alh2.structure.loading import h2_weight_percent, load_h2
from alh2.structure.sites import open_metal_sites
from alh2.structure.symmetry import space_group


def main(folder: Path) -> None:
    """Write the structures below `folder` and print what they are."""
    bare = build_al_soc_mof(hydroxide=False)
    crystal = build_al_soc_mof()
    print("framework", bare.get_chemical_formula(), space_group(bare))
    print("with OH  ", crystal.get_chemical_formula(), space_group(crystal))
    for site in open_metal_sites(crystal)[:2]:
        print(f"open Al {site.index}: {site.coordination} ligands, open towards {np.round(site.direction, 2)}")

    rng = np.random.default_rng(7)
    loaded = load_h2(crystal, 24, rng=rng, prefer_open_sites=True)
    print(f"24 H2 = {h2_weight_percent(crystal, 24):.2f} wt%")
    for name in ("al-soc-mof-24h2.cif", "al-soc-mof-24h2.vasp", "al-soc-mof-24h2.data"):
        write_structure(loaded, folder / name)

    node = load_h2(carve_node(), 6, rng=rng)
    print("node     ", node.get_chemical_formula(), "open Al:", [site.index for site in open_metal_sites(node)])
    write_structure(node, folder / "node-6h2.extxyz")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "structures"))
