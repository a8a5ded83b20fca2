import Foundation
import Testing

@testable import Machine

struct MailboxTests {
  @Test func inputsComeOutOnceAndInOrder() {
    let mailbox = Mailbox()
    #expect(mailbox.takeAll() == [])
    mailbox.post(.console([1]))
    mailbox.post(.packet(vif: 2, frame: [3]))
    mailbox.post(.timeout)
    #expect(mailbox.takeAll() == [.console([1]), .packet(vif: 2, frame: [3]), .timeout])
    #expect(mailbox.takeAll() == [])
  }

  @Test func aWaitEndsByTimeOrAtOnce() {
    let mailbox = Mailbox()
    mailbox.wait(until: 0)
    mailbox.wait(until: monotonicNanoseconds() + 1_000_000)
    #expect(mailbox.takeAll() == [])
    mailbox.post(.leave)
    mailbox.wait(until: nil)
    #expect(mailbox.takeAll() == [.leave])
  }

  /// Four threads post; nothing is lost, and what one thread posted keeps its order.
  @Test func manyThreadsPost() {
    let mailbox = Mailbox()
    let (threads, each) = (4, 2000)
    for thread in 0..<threads {
      Thread.detachNewThread { for n in 0..<each { mailbox.post(.diskCompletion(token: UInt64(thread * each + n))) } }
    }
    var next = (0..<threads).map { UInt64($0 * each) }
    var received = 0
    while received < threads * each {
      mailbox.wait(until: nil)
      for input in mailbox.takeAll() {
        guard case .diskCompletion(let token) = input else { continue }
        let thread = Int(token) / each
        #expect(next[thread] == token)
        next[thread] = token + 1
        received += 1
      }
    }
    #expect(mailbox.takeAll() == [])
  }
}
