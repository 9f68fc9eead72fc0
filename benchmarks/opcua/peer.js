// node-opcua with the same variables. NODE_PATH=... node peer.js PORT VARIABLES HZ
const { OPCUAServer, Variant, DataType, StatusCodes, MessageSecurityMode, SecurityPolicy } = require("node-opcua");

const [port, variables, rate] = process.argv.slice(2).map(Number);
const BASE = 2000000;

(async () => {
  const server = new OPCUAServer({
    port,
    hostname: "127.0.0.1",
    allowAnonymous: true,
    securityModes: [MessageSecurityMode.None],
    securityPolicies: [SecurityPolicy.None],
    maxConnectionsPerEndpoint: 2000,
    serverCapabilities: { maxSessions: 2000, maxSubscriptions: 4000, maxMonitoredItems: 1000000 },
    disableDiscovery: true,
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const own = space.getOwnNamespace();
  const folder = own.addObject({ nodeId: `i=${BASE - 1}`, browseName: "Bench", organizedBy: space.rootFolder.objects });
  const nodes = [];
  for (let number = 0; number < variables; number++) {
    nodes.push(own.addVariable({
      nodeId: `i=${BASE + number}`, browseName: `Var${number}`, componentOf: folder, dataType: "Double",
      value: { dataType: DataType.Double, value: 0 },
    }));
  }
  own.addVariable({ nodeId: `i=${BASE - 10}`, browseName: "Set0", componentOf: folder, dataType: "Double",
    value: { dataType: DataType.Double, value: 0 } });
  const method = own.addMethod(folder, { nodeId: `i=${BASE - 2}`, browseName: "Do", inputArguments: [], outputArguments: [] });
  method.bindMethod((_inputs, _context, done) => done(null, { statusCode: StatusCodes.Good, outputArguments: [] }));
  await server.start();
  process.stdout.write(`ready ${port}\n`);
  let value = 0;
  if (rate) {
    setInterval(() => {
      value += 1;
      const shown = new Variant({ dataType: DataType.Double, value });
      for (const node of nodes) node.setValueFromSource(shown);
    }, 1000 / rate);
  }
})();
