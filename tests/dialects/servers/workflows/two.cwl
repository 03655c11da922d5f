cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'tr a-z A-Z < "$0" > upper.txt; wc -c < "$0" > size.txt']
inputs:
  text:
    type: File
    inputBinding: {position: 1}
outputs:
  upper:
    type: File
    outputBinding: {glob: upper.txt}
  size:
    type: File
    outputBinding: {glob: size.txt}
