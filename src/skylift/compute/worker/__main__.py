"""`python -m skylift.compute.worker`: started by a backend, never by hand."""

from skylift.compute.worker.main import main

main()
