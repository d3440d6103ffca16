"""Spark, by its JVM: the engine, its session with jars and settings, the topics that it reads itself."""
