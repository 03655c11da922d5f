"""`gofer contract guess`: a first declaration out of an OpenAPI document.

Pure: nothing is sent, and no reference out of the document is followed.

    document    source           JSON, or YAML where PyYAML is installed
                openapi          operations, answers and schemas; every wrong shape is passed over
    jobs        choosing         which operation is the submission, the status request, the result ...
                words            what the words for states mean
    page        page             the whole; `sent` and `read` write its tables, and `texts` their lines

What is not certain gets the comment `# ?` with the reason. The page is always one that `gofer contract check` accepts.
"""
