// node-opcua's client walks a whole server as a browser does, and reads every attribute of every node. One JSON line with what it tripped over.
// Arguments: endpoint, folder, user, password.
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { OPCUAClient, MessageSecurityMode, SecurityPolicy, UserTokenType } = require("node-opcua-client");
const { DataType } = require("node-opcua-variant");
const [endpoint, folder, user, password] = process.argv.slice(2);
const BATCH = 100, VALUE = 13, OBJECT = 1, VARIABLE = 2;
const ANALOG = new Set(["ns=0;i=2368", "ns=0;i=17570"]);

async function references(session, nodes, referenceTypeId) {
  const found = [];
  for (let start = 0; start < nodes.length; start += BATCH) {
    const asked = nodes.slice(start, start + BATCH).map((nodeId) => ({
      nodeId, referenceTypeId, browseDirection: 0, includeSubtypes: true, nodeClassMask: 0, resultMask: 63 }));
    for (let result of await session.browse(asked)) {
      const all = [...(result.references || [])];
      while (result.continuationPoint && result.continuationPoint.length) {
        result = await session.browseNext(result.continuationPoint, false);
        all.push(...(result.references || []));
      }
      found.push(all);
    }
  }
  return found;
}

async function read(session, asked) {
  const found = [];
  for (let start = 0; start < asked.length; start += 1000) found.push(...await session.read(asked.slice(start, start + 1000)));
  return found;
}

async function main() {
  const manager = new OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: true });
  await manager.initialize();
  const client = OPCUAClient.create({
    applicationName: "crawler", clientCertificateManager: manager, securityPolicy: SecurityPolicy.Basic256Sha256,
    securityMode: MessageSecurityMode.SignAndEncrypt, endpointMustExist: false, connectionStrategy: { maxRetry: 0 },
  });
  await client.connect(endpoint);
  const session = await client.createSession({ type: UserTokenType.UserName, userName: user, password });
  const nodes = new Map(); // NodeId -> reference that led there
  let level = ["ns=0;i=84"];
  while (level.length) {
    const next = [];
    for (const all of await references(session, level, "i=33")) {
      for (const one of all) {
        const key = one.nodeId.toString();
        if (!nodes.has(key)) { nodes.set(key, one); next.push(key); }
      }
    }
    level = next;
  }
  const below = new Set(), waiting = ["ns=0;i=85"];
  const children = new Map();
  const keys = [...nodes.keys()];
  (await references(session, keys, "i=33")).forEach((all, at) => children.set(keys[at], all.map((one) => one.nodeId.toString())));
  while (waiting.length) for (const key of children.get(waiting.pop()) || []) if (!below.has(key)) { below.add(key); waiting.push(key); }
  const bad = [], uncertain = [], untyped = [], nulls = [], analogs = [];
  const asked = keys.flatMap((nodeId) => Array.from({ length: 22 }, (_, at) => ({ nodeId, attributeId: at + 1 })));
  (await read(session, asked)).forEach((value, at) => {
    const key = keys[Math.floor(at / 22)], attribute = (at % 22) + 1, one = nodes.get(key), status = value.statusCode.name;
    const label = `${one.browseName.name} ${key} ${attribute} ${status}`;
    if (status.startsWith("Uncertain")) uncertain.push(`${one.browseName.name} ${status}`);
    else if (!["Good", "BadAttributeIdInvalid"].includes(status)) bad.push(label);
    if (attribute === VALUE && one.nodeClass === VARIABLE && below.has(key) && !status.startsWith("Bad")
        && value.value.dataType === DataType.Null) nulls.push(label);
  });
  for (const key of below) {
    const one = nodes.get(key);
    if ([OBJECT, VARIABLE].includes(one.nodeClass) && one.typeDefinition.isEmpty()) untyped.push(`${one.browseName.name} ${key}`);
  }
  const analog = [...below].filter((key) => ANALOG.has(nodes.get(key).typeDefinition.toString()));
  const properties = await references(session, analog, "i=46");
  for (let at = 0; at < analog.length; at++) {
    const found = Object.fromEntries(properties[at].map((one) => [one.browseName.name, one.nodeId]));
    const [range, unit] = await read(session, [found.EURange, found.EngineeringUnits].map((nodeId) => ({ nodeId: nodeId || "i=0", attributeId: VALUE })));
    const r = range.value.value, u = unit.value.value;
    if (!(r && r.high > r.low)) analogs.push(`${analog[at]} range ${r}`);
    if (!(u && u.namespaceUri && u.unitId !== -1)) analogs.push(`${analog[at]} unit ${u}`);
  }
  console.log(JSON.stringify({ nodes: keys.length, below: below.size, analog: analog.length, bad, uncertain, untyped, nulls, analogs }));
  await session.close();
  await client.disconnect();
}

main().then(() => process.exit(0), (error) => { console.error(String(error.stack || error)); process.exit(1); });
