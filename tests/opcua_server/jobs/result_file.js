// node-opcua's client reads a result as a file: one JSON line with what it found. Arguments: endpoint, ResultTransfer, ResultId.
const { OPCUAClient, AttributeIds, makeBrowsePath } = require("node-opcua-client");
const { DataType, Variant } = require("node-opcua-variant");
const [endpoint, transfer, resultId] = process.argv.slice(2);
const [READ, CLOSE] = ["ns=0;i=11585", "ns=0;i=11583"]; // of FileType: the file is no node

async function main() {
  const client = OPCUAClient.create({ endpointMustExist: false, connectionStrategy: { maxRetry: 0 } });
  await client.connect(endpoint);
  const session = await client.createSession();
  const [method, inputs] = await Promise.all(["/GenerateFileForRead", "/GenerateFileForRead.InputArguments"].map(
    async (path) => (await session.translateBrowsePath(makeBrowsePath(transfer, path))).targets[0].targetId));
  const declared = (await session.read({ nodeId: inputs, attributeId: AttributeIds.Value })).value.value[0].dataType;
  const subtypes = await session.browse({ nodeId: declared, referenceTypeId: "HasSubtype", browseDirection: 0, resultMask: 63 });
  const options = await session.constructExtensionObject(subtypes.references[0].nodeId, { resultId });
  const call = async (objectId, methodId, ...inputArguments) =>
    session.call({ objectId, methodId, inputArguments: inputArguments.map(([dataType, value]) => new Variant({ dataType, value })) });
  const made = await call(transfer, method, [DataType.ExtensionObject, options]);
  const [file, handle] = made.outputArguments.map((one) => one.value);
  const parts = [];
  for (;;) {
    const part = (await call(file, READ, [DataType.UInt32, handle], [DataType.Int32, 100])).outputArguments[0].value;
    if (!part || !part.length) break;
    parts.push(part);
  }
  await call(file, CLOSE, [DataType.UInt32, handle]);
  const after = await call(file, READ, [DataType.UInt32, handle], [DataType.Int32, 100]);
  const whole = Buffer.concat(parts);
  console.log(JSON.stringify({ length: whole.length, same: whole.toString("utf8"), after: after.statusCode.name }));
  await session.close();
  await client.disconnect();
}

main().then(() => process.exit(0), (error) => { console.error(String(error.stack || error)); process.exit(1); });
