"""For who watches by Prometheus: a lake's numbers as it scrapes them (measured), kept for some seconds (told)."""
