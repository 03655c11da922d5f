cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'echo "$0" >&2; exit 3']
inputs:
  message:
    type: string
    inputBinding: {position: 1}
outputs: {}
