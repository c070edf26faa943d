/*
 * echo_asio PORT: TCP echo on Boost.Asio (epoll) with C++20 coroutines; same contract as
 * echo_uring. One thread; locking off; executors by their own type rather than type-erased.
 *
 * Needs: Boost.Asio (headers only), threads; g++ -std=c++20 -fcoroutines.
 */
#include <utility> /* before Boost 1.74, which forgets it */

#include <boost/asio.hpp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace asio = boost::asio;
using asio::ip::tcp;

using executor = asio::io_context::executor_type;
using token = asio::use_awaitable_t<executor>;
using stream = asio::basic_stream_socket<tcp, executor>;
using acceptor = asio::basic_socket_acceptor<tcp, executor>;
using task = asio::awaitable<void, executor>;

static std::uint64_t requests;

static task echo(stream socket)
{
	char buffer[4096];

	for (;;) {
		boost::system::error_code error;
		std::size_t len =
			co_await socket.async_read_some(asio::buffer(buffer), asio::redirect_error(token(), error));

		if (error)
			co_return;
		co_await asio::async_write(socket, asio::buffer(buffer, len), asio::redirect_error(token(), error));
		if (error)
			co_return;
		requests++;
	}
}

static task listen(acceptor &listener)
{
	for (;;) {
		stream socket(listener.get_executor());

		co_await listener.async_accept(socket, token());
		socket.set_option(tcp::no_delay(true));
		asio::co_spawn(listener.get_executor(), echo(std::move(socket)), asio::detached);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		std::fprintf(stderr, "usage: echo_asio PORT\n");
		return 2;
	}

	asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
	asio::signal_set signals(context, SIGTERM);
	acceptor listener(context.get_executor());
	tcp::endpoint endpoint(asio::ip::address_v4::loopback(), static_cast<unsigned short>(std::atoi(argv[1])));

	signals.async_wait([&](const boost::system::error_code &, int) { context.stop(); });
	listener.open(endpoint.protocol());
	listener.set_option(acceptor::reuse_address(true));
	listener.bind(endpoint);
	listener.listen(4096);
	asio::co_spawn(context, listen(listener), asio::detached);
	std::printf("ready\n");
	std::fflush(stdout);
	context.run();

	timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	std::printf("{\"requests\": %llu, \"enters\": null, \"sqes\": null, \"cpu_ns\": %llu}\n",
	            static_cast<unsigned long long>(requests),
	            static_cast<unsigned long long>(ts.tv_sec) * 1000000000u +
	                    static_cast<unsigned long long>(ts.tv_nsec));
	return 0;
}
