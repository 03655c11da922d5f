cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'sleep "$0" && echo "slept $0"']
inputs:
  seconds:
    type: string
    inputBinding: {position: 1}
stdout: slept.txt
outputs:
  slept: stdout
