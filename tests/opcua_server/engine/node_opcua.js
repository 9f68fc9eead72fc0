// node-opcua's client against a server: one JSON line with what it found. Arguments: endpoint, folder, policy, mode, user, password,
// and where to wait for the server to connect, if it is to.
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { ClientReverseConnect, OPCUAClient, MessageSecurityMode, SecurityPolicy, UserTokenType, AttributeIds } =
  require("node-opcua-client");
const [endpoint, folder, policy, mode, user, password, reverse] = process.argv.slice(2);

async function main() {
  const manager = new OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: true });
  await manager.initialize();
  let serverCertificate;
  if (reverse) { // with security it has to know the server's certificate before; a plant gives it to the client by hand
    const probe = OPCUAClient.create({ clientCertificateManager: manager, endpointMustExist: false });
    await probe.connect(endpoint);
    serverCertificate = (await probe.getEndpoints())[0].serverCertificate;
    await probe.disconnect();
  }
  const client = OPCUAClient.create({
    serverCertificate,
    applicationName: "foreign",
    clientCertificateManager: manager,
    securityPolicy: SecurityPolicy[policy],
    securityMode: MessageSecurityMode[mode],
    endpointMustExist: false,
    connectionStrategy: { maxRetry: 0 },
  });
  if (reverse) {
    const listener = new ClientReverseConnect(reverse);
    await listener.start();
    await client.connectReverse(listener, { endpointUrl: endpoint });
  } else await client.connect(endpoint);
  const session = await client.createSession(
    user ? { type: UserTokenType.UserName, userName: user, password } : { type: UserTokenType.Anonymous });
  const time = await session.read({ nodeId: "i=2258", attributeId: AttributeIds.Value });
  const names = await session.readVariableValue("i=2255");
  const many = await session.read(Array.from({ length: 1000 }, () => ({ nodeId: "i=2258", attributeId: 13 })));
  const browsed = await session.browse("i=85");
  const path = await session.translateBrowsePath({
    startingNode: "i=84",
    relativePath: { elements: ["Objects", "Server"].map((name) => ({
      referenceTypeId: "i=33", isInverse: false, includeSubtypes: true, targetName: { namespaceIndex: 0, name } })) },
  });
  const missing = await session.read({ nodeId: "ns=2;s=nothing", attributeId: 13 });
  console.log(JSON.stringify({
    time: time.value.value, namespaces: names.value.value, many: many.length, references: browsed.references.length,
    target: path.targets[0].targetId.toString(), missing: missing.statusCode.name,
  }));
  await session.close();
  await client.disconnect();
}

main().then(() => process.exit(0), (error) => { console.error(String(error.stack || error)); process.exit(1); });
