"""A campaign as a folder to publish: models, data, inputs, results, and what they were made with."""
