"""Orbitals handed from one VASP task to the next with the same formula."""

from __future__ import annotations

from alh2.label.protocol import SCRATCH

_TAKE_AND_LEAVE = """\
kept="../{prefix}.$(sed -n '6,7p' POSCAR | tr -s ' \\n' '..')WAVECAR"
grep -q '^ISTART *= *0' INCAR || {{ [ -s "$kept" ] && cp "$kept" WAVECAR; }}
{{ {command}
}}; code=$?
steps=$(grep -c 'Iteration  *1(' OUTCAR 2>/dev/null)
most=$(sed -n 's/.*NELM *= *\\([0-9][0-9]*\\).*/\\1/p' OUTCAR 2>/dev/null | head -n 1)
if [ "$code" = 0 ] && [ -s WAVECAR ] && [ "${{steps:-0}}" -lt "${{most:-0}}" ]; then mv -f WAVECAR "$kept"; fi
rm -f WAVECAR
exit $code
"""


def keep_orbitals(command: str) -> str:
    """Shell lines that start `command` from the latest orbitals of the same formula, and leave its own to the next.

    Only the orbitals of converged runs are left. They save electronic steps where geometries are alike (frames on one
    host, neighbours in time) and change a converged energy by less than EDIFF does; the order in which tasks end then
    decides in which step each one starts. A file is as large as WAVECAR, one for each formula.
    """
    return _TAKE_AND_LEAVE.format(prefix=f"{SCRATCH}orbitals", command=command)
