// node-opcua with the same variables. NODE_PATH=... node peer.js FOLDER VARIABLES PORT
const readline = require("node:readline");
const {
  DataType, MessageSecurityMode, OPCUACertificateManager, OPCUAServer, SecurityPolicy, StatusCodes, Variant,
} = require("node-opcua");

const [folder, ...numbers] = process.argv.slice(2);
const [variables, port] = numbers.map(Number);
const BASE = 2000000;
const DOUBLE = DataType.Double;

(async () => {
  const serverCertificateManager = new OPCUACertificateManager({
    automaticallyAcceptUnknownCertificate: true, rootFolder: `${folder}/node-opcua`,
  });
  await serverCertificateManager.initialize();
  const server = new OPCUAServer({
    port,
    hostname: "127.0.0.1",
    serverCertificateManager,
    allowAnonymous: true,
    securityModes: [MessageSecurityMode.None, MessageSecurityMode.SignAndEncrypt],
    securityPolicies: [SecurityPolicy.None, SecurityPolicy.Basic256Sha256],
    maxConnectionsPerEndpoint: 2000,
    serverCapabilities: { maxSessions: 2000, maxSubscriptions: 4000, maxMonitoredItems: 1000000 },
    disableDiscovery: true,
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const own = space.getOwnNamespace();
  const bench = own.addObject({ nodeId: `i=${BASE - 1}`, browseName: "Bench", organizedBy: space.rootFolder.objects });
  const variable = (nodeId, browseName, value, parent = bench) => own.addVariable({
    nodeId: `i=${nodeId}`, browseName, componentOf: parent, dataType: "Double", value: { dataType: DOUBLE, value },
  });
  const nodes = [];
  let parent = bench;
  for (let number = 0; number < variables; number++) {
    if (number >= 1000 && number % 100 === 0) {
      parent = own.addObject({ nodeId: `s=From${number}`, browseName: `From${number}`, organizedBy: space.rootFolder.objects });
    }
    nodes.push(variable(BASE + number, `Var${number}`, number, parent));
  }
  for (let number = 0; number < 60; number++) variable(BASE - 100 + number, `Set${number}`, 0);
  const argument = (name) => ({ name, dataType: DOUBLE });
  const method = own.addMethod(bench, {
    nodeId: `i=${BASE - 2}`, browseName: "Add", inputArguments: [argument("one"), argument("other")], outputArguments: [argument("sum")],
  });
  method.bindMethod((inputs, _context, done) => done(null, {
    statusCode: StatusCodes.Good,
    outputArguments: [{ dataType: DOUBLE, value: inputs[0].value + inputs[1].value }],
  }));
  await server.start();

  let tick = 1;
  const write = (count) => {
    for (let number = 0; number < count; number++) {
      nodes[number].setValueFromSource(new Variant({ dataType: DOUBLE, value: number + tick }));
    }
    tick += 1;
  };
  let timer = null;
  readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const [order, first, second] = line.split(" ");
    if (order === "publish") {
      const before = process.cpuUsage();
      for (let round = 0; round < Number(second); round++) write(Number(first));
      const used = process.cpuUsage(before);
      process.stdout.write(`${(used.user + used.system) / 1e6}\n`);
      return;
    }
    clearInterval(timer);
    if (order === "tick") timer = setInterval(write, 1000 / Number(second), Number(first));
    process.stdout.write("ok\n");
  }).on("close", () => process.exit(0));
  process.stdout.write(`ready ${port}\n`);
})();
