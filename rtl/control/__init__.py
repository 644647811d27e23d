"""The control unit: registers, fetcher, decoder, queues, semaphores, faults."""
