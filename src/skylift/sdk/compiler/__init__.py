"""The Python → States Language compiler: a `@pipeline` becomes a document, a task table and a source map."""
