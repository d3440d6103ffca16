"""Topics of Kafka: what they hold, which offsets a round takes, and the messages in exactly these."""
