// node-opcua's client, request by request. A line on stdin: {id, session, service, body}; one on stdout: {id, body} or {id, fault}.
// {"$": "Type", ...} in a body is that structure in an ExtensionObject, {"$range": "1:2"} a NumericRange, {"$latin": "..."} bytes, {"$node": "i=1"} a NodeId, {"$date": "..."} a time.
// A service that begins with a small letter is the method of its session, "with" these arguments.
// Services "watch" and "heard" are node-opcua's own subscription: {nodeId, parameters} -> items; what they heard so far.
// "alarms" is its own alarm list, which it fills by ConditionRefresh and events.
const readline = require("readline");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { OPCUAClient, MessageSecurityMode, SecurityPolicy, UserTokenType, installAlarmMonitoring } =
  require("node-opcua-client");
const types = require("node-opcua-types");
const { Variant, DataType } = require("node-opcua-variant");
const { NumericRange } = require("node-opcua-numeric-range");
const { NodeId, resolveNodeId } = require("node-opcua-nodeid");
const { StatusCode } = require("node-opcua-status-code");
const [endpoint, folder] = process.argv.slice(2);
const sessions = {}, heard = [], lists = {};

function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (value === null || typeof value !== "object") return value;
  if (value.$range !== undefined) return new NumericRange(value.$range);
  if (value.$node !== undefined) return resolveNodeId(value.$node);
  if (value.$date !== undefined) return new Date(value.$date);
  if (value.$latin !== undefined) return Buffer.from(value.$latin, "latin1");
  const given = Object.fromEntries(Object.entries(value).filter(([key]) => key !== "$").map(([key, one]) => [key, revive(one)]));
  return value.$ ? new types[value.$](given) : given;
}

function plain(value) {
  if (value === null || value === undefined) return null;
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object") return value;
  if (Buffer.isBuffer(value)) return value.toString("latin1");
  if (value instanceof Date) return value.toISOString();
  if (value instanceof StatusCode) return value.name;
  if (value instanceof NodeId) return value.toString();
  if (ArrayBuffer.isView(value)) return Array.from(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Variant) return { dataType: DataType[value.dataType], value: plain(value.value), dimensions: value.dimensions };
  const keys = Object.keys(value).filter((key) => !key.startsWith("_") && typeof value[key] !== "function");
  return Object.fromEntries(keys.map((key) => [key, plain(value[key])]));
}

async function main() {
  const manager = new OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: true });
  await manager.initialize();
  const client = OPCUAClient.create({
    applicationName: "conformance", clientCertificateManager: manager, securityPolicy: SecurityPolicy.None,
    securityMode: MessageSecurityMode.None, endpointMustExist: false, keepSessionAlive: false, connectionStrategy: { maxRetry: 0 },
  });
  await client.connect(endpoint);
  // Each identity a session of its own. A name is a role of the server's.
  const session = async (name) =>
    (sessions[name] ??= await client.createSession(
      name ? { type: UserTokenType.UserName, userName: name.split(".")[0], password: "any" } : { type: UserTokenType.Anonymous }));

  async function answer({ id, session: name, service, body }) {
    try {
      const on = await session(name);
      if (service === "watch") {
        const subscription = await on.createSubscription2({ requestedPublishingInterval: 50, publishingEnabled: true });
        for (const one of body) {
          const item = await subscription.monitor({ nodeId: one.nodeId, attributeId: 13 }, revive(one.parameters), 2);
          item.on("changed", (value) => heard.push([one.nodeId, plain(value.value.value)]));
        }
        return { id, body: subscription.subscriptionId };
      }
      if (service === "heard") return { id, body: heard };
      if (service === "alarms") {
        lists[name] ??= await installAlarmMonitoring(on);
        const told = ({ conditionId, eventId, fields: f }) => ({
          conditionId, eventId, name: f.conditionName.value, severity: f.severity.value, message: f.message.value.text, user: f.clientUserId.value,
          comment: f.comment.value.text, retain: f.retain.value, active: f.activeState.id.value, acked: f.ackedState.id.value,
          confirmed: f.confirmedState.id.value, enabled: f.enabledState.id.value, shelved: f.suppressedOrShelved.value,
        });
        return { id, body: lists[name].alarms().map(told).map(plain) };
      }
      if (typeof on[service] === "function") return { id, body: plain(await on[service](...revive(body.with))) };
      const request = new types[service + "Request"](revive(body));
      const response = await new Promise((resolve, reject) =>
        on.performMessageTransaction(request, (error, response) => (error ? reject(error) : resolve(response))));
      return { id, body: plain(response) };
    } catch (error) {
      const result = error.response?.responseHeader?.serviceResult;
      return { id, fault: result ? result.name : String(error.stack || error) };
    }
  }
  console.log(JSON.stringify({ id: 0, body: "ready" }));
  readline.createInterface({ input: process.stdin })
    .on("line", async (line) => console.log(JSON.stringify(await answer(JSON.parse(line)))))
    .on("close", () => process.exit(0));
}

main().catch((error) => { console.error(String(error.stack || error)); process.exit(1); });
