"""Pictures of a document: Mermaid text, and an SVG that stands alone."""

from skylift.asl.diagram.drawing import svg
from skylift.asl.diagram.mermaid import mermaid

__all__ = ["mermaid", "svg"]
