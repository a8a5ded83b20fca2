import Testing

@testable import Motherboard

@Suite struct Keyboard8042Tests {
  let rig: Rig
  init() throws { rig = try Rig() }

  final class Rig {
    let test: TestBoard
    let keyboard: Keyboard8042
    let control: SystemControl
    final class Host {
      var lines = [false, false]
      var edges = [0, 0]
      var resets = 0
    }
    let host = Host()
    init() throws {
      test = try TestBoard()
      test.board.outside.reset = { [host] in host.resets += 1 }
      control = SystemControl(board: test.board)
      let lines = (0..<2).map { [host] number in
        InterruptLine {
          host.lines[number] = $0
          if $0 { host.edges[number] += 1 }
        }
      }
      keyboard = Keyboard8042(board: test.board, keyboardLine: lines[0], mouseLine: lines[1], control: control)
    }
    var status: UInt32 { test.board.readPort(0x64, size: 1) }
    func command(_ value: UInt32, _ parameters: UInt32...) {
      test.board.writePort(0x64, size: 1, value: value)
      for parameter in parameters { data(parameter) }
    }
    func data(_ value: UInt32) { test.board.writePort(0x60, size: 1, value: value) }
    func read() -> UInt32 { test.board.readPort(0x60, size: 1) }
    /// All that comes within half a second.
    func all() -> [UInt32] {
      var bytes: [UInt32] = []
      for _ in 0..<500 {
        test.advance(by: 1_000_000)
        if status & 1 != 0 { bytes.append(read()) }
      }
      return bytes
    }
    func mouse(_ bytes: UInt32...) -> [UInt32] {
      var answers: [UInt32] = []
      for byte in bytes {
        command(0xD4, byte)
        answers += all()
      }
      return answers
    }
  }

  @Test func firmwareSetsItUp() throws {
    #expect(rig.status == 0x18)
    rig.command(0xAD)
    rig.command(0xA7)
    rig.command(0xAA)
    #expect(rig.status == 0x1D)
    #expect(rig.read() == 0x55)
    #expect(rig.status == 0x1C)
    rig.command(0xAB)
    #expect(rig.read() == 0)
    rig.command(0x60, 0x30)
    rig.data(0xFF)
    #expect(rig.all() == [0xFA, 0xAA])
    rig.data(0xF5)
    #expect(rig.all() == [0xFA])
    rig.data(0xF0)
    rig.data(0x02)
    #expect(rig.all() == [0xFA, 0xFA])
    rig.command(0x60, 0x61)
    rig.data(0xF4)
    #expect(rig.all() == [0xFA])
    #expect(rig.host.edges[0] == 1)
    rig.command(0x20)
    #expect(rig.read() == 0x61)
  }

  @Test func LinuxFindsTheMousePort() throws {
    rig.command(0x60, 0x70)
    rig.command(0xD3, 0x5A)
    #expect(rig.status & 0x21 == 0x21)
    #expect(rig.read() == 0x5A)
    rig.command(0xA7)
    rig.command(0x20)
    #expect(rig.read() & 0x20 != 0)
    rig.command(0xA8)
    rig.command(0x20)
    #expect(rig.read() & 0x20 == 0)
    rig.command(0x60, 0x42)
    rig.command(0xD3, 0xA5)
    #expect(rig.host.lines == [false, true])
    #expect(rig.read() == 0xA5)
    #expect(rig.host.lines == [false, false])
    #expect(rig.read() == 0xA5, "the byte stays until the next")
  }

  @Test func theKeyboardAnswers() throws {
    rig.command(0x60, 0x40)
    rig.data(0xF2)
    #expect(rig.all() == [0xFA, 0xAB, 0x41])
    rig.command(0x60, 0)
    rig.data(0xF2)
    #expect(rig.all() == [0xFA, 0xAB, 0x83])
    rig.data(0xED)
    rig.data(4)
    #expect(rig.all() == [0xFA, 0xFA])
    #expect(rig.keyboard.lights == 4)
    rig.data(0xEE)
    #expect(rig.all() == [0xEE])
    rig.data(0xFE)
    #expect(rig.all() == [0xEE])
    rig.data(0x12)
    #expect(rig.all() == [0xFE])
    rig.data(0xF0)
    rig.data(0)
    #expect(rig.all() == [0xFA, 0xFA, 2])
    rig.data(0xF0)
    rig.data(3)
    #expect(rig.all() == [0xFA, 0xFE])
    // A command in place of a parameter is a command.
    rig.data(0xF3)
    rig.data(0xF4)
    #expect(rig.all() == [0xFA, 0xFA])
  }

  @Test func keysComeTranslatedOrNot() throws {
    rig.command(0x60, 0x41)
    rig.keyboard.keyDown(0x1E)
    rig.keyboard.keyUp(0x1E)
    rig.keyboard.keyDown(0xE048)
    rig.keyboard.keyUp(0xE048)
    #expect(rig.all() == [0x1E, 0x9E, 0xE0, 0x48, 0xE0, 0xC8])
    #expect(rig.host.edges == [6, 0])
    rig.command(0x60, 0)
    rig.keyboard.keyDown(0x41)
    rig.keyboard.keyUp(0x41)
    rig.keyboard.keyUp(0xE048)
    #expect(rig.all() == [0x83, 0xF0, 0x83, 0xE0, 0xF0, 0x75])
    rig.data(0xF0)
    rig.data(1)
    _ = rig.all()
    rig.keyboard.keyUp(0xE048)
    #expect(rig.all() == [0xE0, 0xC8])
  }

  @Test func everyCodeOfSet1ComesBackFromSet2() {
    for code: UInt8 in 1...0x58 {
      let set2 = KeyCodeTranslation.set2(code)
      #expect(set2 != 0 && KeyCodeTranslation.set1(set2) == code, "\(code)")
    }
    #expect(KeyCodeTranslation.set2(0x01) == 0x76)
    #expect(KeyCodeTranslation.set2(0x3B) == 0x05)
    #expect(KeyCodeTranslation.set1(0xFA) == 0xFA)
  }

  @Test func typingIsPacedAndAKeyboardThatIsOffIsSilent() throws {
    rig.command(0x60, 0x41)
    rig.keyboard.type("aB")
    rig.test.advance(by: 3_000_000)
    #expect(rig.read() == 0x1E)
    rig.test.advance(by: 500_000)
    #expect(rig.status & 1 == 0)
    #expect(rig.all() == [0x9E, 0x2A, 0x30, 0xB0, 0xAA])
    rig.command(0xAD)
    rig.keyboard.type("c")
    #expect(rig.all() == [])
    rig.command(0xAE)
    #expect(rig.all() == [0x2E, 0xAE])
    rig.data(0xF5)
    _ = rig.all()
    rig.keyboard.type("d")
    #expect(rig.all() == [])
  }

  @Test func theMouseAnswersAndReports() throws {
    rig.command(0x60, 0x02)
    #expect(rig.mouse(0xFF) == [0xFA, 0xAA, 0])
    #expect(rig.mouse(0xF2) == [0xFA, 0])
    #expect(rig.mouse(0xE8, 3, 0xE7, 0xE9) == [0xFA, 0xFA, 0xFA, 0xFA, 0x10, 3, 100])
    rig.keyboard.mouse(right: 5, down: 3, buttons: 1)
    #expect(rig.all() == [], "not asked to")
    #expect(rig.mouse(0xF6, 0xF4) == [0xFA, 0xFA])
    rig.keyboard.mouse(right: 5, down: 3, buttons: 1)
    #expect(rig.all() == [0x29, 5, 0xFD])
    rig.keyboard.mouse(right: -300, down: -1, buttons: 0)
    #expect(rig.all() == [0x18, 1, 1, 0x18, 0xD3, 0])
    #expect(rig.host.edges[1] > 10)
    #expect(rig.mouse(0xEE, 0x12, 0xEC) == [0xFA, 0x12, 0xFA])
    #expect(rig.mouse(0x77) == [0xFE])
    #expect(rig.mouse(0xF0) == [0xFA])
    rig.keyboard.mouse(right: 1, down: 0, buttons: 2)
    #expect(rig.all() == [])
    #expect(rig.mouse(0xEB) == [0xFA, 0x0A, 1, 0])
  }

  @Test func whoKnocksGetsAWheelAndFiveButtons() throws {
    rig.command(0x60, 0)
    _ = rig.mouse(0xF3, 200, 0xF3, 100, 0xF3, 80)
    #expect(rig.mouse(0xF2) == [0xFA, 3])
    _ = rig.mouse(0xF4)
    rig.keyboard.mouse(right: 0, down: 0, wheel: -1, buttons: 0)
    #expect(rig.all() == [8, 0, 0, 0xFF])
    _ = rig.mouse(0xF3, 200, 0xF3, 200, 0xF3, 80)
    #expect(rig.mouse(0xF2) == [0xFA, 4])
    rig.keyboard.mouse(right: 0, down: 0, wheel: 1, buttons: 0x10)
    #expect(rig.all() == [8, 0, 0, 0x21])
  }

  @Test func theOutputPortIsA20AndReset() throws {
    rig.command(0xD0)
    #expect(rig.read() & 3 == 3)
    rig.command(0xD1, 0xDD)
    #expect(!rig.control.isAddressLine20Open)
    rig.command(0xD0)
    #expect(rig.read() & 3 == 1)
    rig.command(0xDF)
    #expect(rig.control.isAddressLine20Open)
    #expect(rig.host.resets == 0)
    rig.command(0xFE)
    #expect(rig.host.resets == 1)
    rig.command(0xD1, 2)
    #expect(rig.host.resets == 2)
  }

  @Test func stateGoesThereAndBack() throws {
    rig.command(0x60, 0x41)
    rig.keyboard.type("x")
    rig.test.advance(by: 1_000_000)
    let saved = rig.keyboard.state
    let bytes = rig.keyboard.encodedState()
    rig.keyboard.state = saved
    #expect(rig.keyboard.encodedState() == bytes)
    #expect(rig.host.lines[0])
    rig.keyboard.reset()
    #expect(!rig.host.lines[0])
    #expect(rig.status == 0x18)
  }
}
