"""alh2: active learning of a Deep Potential for H2 in Al-soc-MOF, and predictions with error bars.

This module stays import-light: task workers start thousands of times.
"""

__version__ = "0.1.0"
