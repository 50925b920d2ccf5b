"""Typed tasks and their execution through dpdispatcher."""
