"""The field's own protocols, so that its clients work unchanged: the Open Inference Protocol, KServe's and OpenAI's."""
