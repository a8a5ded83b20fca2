import Foundation
import Hypervisor

/// Writes hypercalls as Chrome's trace JSON (an array of events; Perfetto reads it too): name, cycle as the time stamp in guest
/// microseconds, arguments and result by name.
final class HypercallTrace {
  // Invariant: the handle is open as long as the object; one event a line, so that a cut file can be mended.
  private let handle: FileHandle
  private var buffer: [UInt8] = []
  private let cyclesPerSecond: UInt64

  init?(path: String, cyclesPerSecond: UInt64) {
    guard FileManager.default.createFile(atPath: path, contents: nil), let handle = FileHandle(forWritingAtPath: path) else { return nil }
    self.handle = handle
    self.cyclesPerSecond = cyclesPerSecond
    buffer = Array("[\n".utf8)
  }

  func record(_ number: UInt64, _ arguments: HypercallArguments, cycle: UInt64, vcpu: Int, result: Int64) {
    let nanoseconds = scale(cycle, 1_000_000_000, cyclesPerSecond)
    let operation = HypercallTable.operationName(number, arguments.a0)
    let name = HypercallTable.name(number) + (operation.map { "." + $0 } ?? "")
    var line = "{\"name\":\"\(name)\",\"ph\":\"X\",\"pid\":1,\"tid\":\(vcpu),\"dur\":0,\"ts\":"
    line += "\(nanoseconds / 1000).\(String(1000 + nanoseconds % 1000).dropFirst()),\"args\":{"
    let values = [arguments.a0, arguments.a1, arguments.a2, arguments.a3, arguments.a4, arguments.a5]
    for (index, argument) in HypercallTable.argumentNames(number).enumerated() where index < 6 {
      line += "\"\(argument)\":\"0x\(String(values[index], radix: 16))\","
    }
    line += "\"result\":\(result)}},\n"
    buffer += Array(line.utf8)
    if buffer.count > 1 << 16 { flush() }
  }

  private func flush() {
    handle.write(Data(buffer))
    buffer.removeAll(keepingCapacity: true)
  }

  func finish() {
    buffer += Array("{}]\n".utf8)
    flush()
    try? handle.close()
  }
}
