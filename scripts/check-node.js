// Plain JavaScript, so that an old Node can read it and say what it is.
if (Number(process.versions.node.split(".")[0]) !== 24) {
  process.stderr.write(
    `Runledger is built and tested with Node 24, and this is ${process.version}. ` +
      `npm ci brings Node 24 along, unless it runs with --ignore-scripts.\n`
  )
  process.exit(1)
}
